import polars as pl
import pytest

from recmeta.datasets.table import table
from recmeta.types import UserError

RATINGS = "user,item,label\n1,01,5\n2,01,1\n2,02,3.5\n"


@pytest.fixture
def write(tmp_path):
    def write(content, name="ratings.csv"):
        (tmp_path / name).write_text(content, encoding="utf-8")
        return tmp_path / name

    return write


def test_reads_a_csv_and_says_what_it_assumed(write):
    data = table(interactions=write(RATINGS))
    assert data.name == "table"
    assert data.items.ids.tolist() == ["01", "02"]
    assert data.label.tolist() == [5, 1, 3.5]
    assert data.time is None
    assert (data.label_range, data.like) == ((1, 5), 4)
    assert data.notes[0].startswith("label range is 1 to 5, as seen")
    assert data.notes[1] == "like is 4: three quarters up the label range"


def test_what_is_declared_is_not_noted(write):
    data = table(interactions=write(RATINGS), label_range=[0, 10], like=7)
    assert (data.label_range, data.like, data.notes) == ((0, 10), 7, ())


def test_every_kind_of_file_gives_the_same_data(write, tmp_path):
    frame = pl.read_csv(RATINGS.encode(), schema_overrides={"item": pl.String})
    frame.write_parquet(tmp_path / "ratings.parquet")
    files = [write(RATINGS), write(RATINGS.replace(",", "\t"), "ratings.tsv"), tmp_path / "ratings.parquet"]
    hashes = {table(interactions=path).sha256 for path in files}
    hashes.add(table(interactions=write(RATINGS.replace(",", ";")), separator=";").sha256)
    hashes.add(table(interactions=write("\n".join([RATINGS.splitlines()[i] for i in (0, 3, 1, 2)]))).sha256)
    assert len(hashes) == 1


def test_one_column_may_be_renamed_and_time_is_read_only_if_named(write):
    path = write("user,item,stars,time\na,x,1,86399.9\na,y,2,1970-01-02\nb,x,5,1970-01-02T00:00:01Z\n")
    assert table(interactions=path, columns={"label": "stars"}).time is None
    timed = table(interactions=path, columns={"label": "stars", "time": "time"})
    assert timed.time is not None
    assert timed.time.tolist() == [86399, 86400, 86401]


def test_a_relative_path_starts_at_the_working_directory(write, tmp_path, monkeypatch):
    write(RATINGS)
    monkeypatch.chdir(tmp_path)
    assert table(interactions="ratings.csv").counts["interactions"] == 3


def test_the_last_of_a_repeated_pair_is_kept_and_counted(write):
    data = table(interactions=write(RATINGS + "2,02,2\n"))
    assert data.label.tolist() == [5, 1, 2]
    assert data.counts["duplicates"] == 1
    assert any("1 of 4 rows repeat" in note for note in data.notes)
    assert table(interactions=write(RATINGS + "2,02,2\n"), duplicates="first").label.tolist() == [5, 1, 3.5]


ITEMS = "item,title,genres,year,colour,blank\n01,First,drama|war,1990,red,\n03,Third,drama,,red,\n04,Fourth,,2001,,\n"


def test_features_are_inferred_and_noted(write):
    data = table(interactions=write(RATINGS), items=write(ITEMS, "items.csv"))
    features = data.items.features
    assert {name: column.kind for name, column in features.items()} == {
        "genres": "multi",
        "year": "numeric",
        "colour": "categorical",
    }
    assert features["genres"].values.tolist() == [("drama", "war"), ()]
    assert features["colour"].values.tolist() == ["red", ""]
    assert features["year"].values[0] == 1990
    assert (
        "item features inferred from items.csv: title left out (an identifier), genres multi, year numeric, "
        "colour categorical, blank left out (empty)"
    ) in data.notes
    assert data.counts["items_without_features"] == 1
    assert data.counts["item_rows_without_interactions"] == 2


def test_features_are_read_as_declared(write):
    data = table(
        interactions=write("u,i,label\n1,01,5\n2,01,1\n"),
        columns={"user": "u", "item": "i"},
        users=write("u,age\n1,30\n2,31\n", "users.csv"),
        items=write("i,genres,year\n01,war; drama ;war,1990\n", "items.csv"),
        user_features={"age": {"kind": "categorical"}},
        item_features={"genres": {"kind": "multi", "separator": ";"}},
    )
    assert data.users.features["age"].values.tolist() == ["30", "31"]
    assert data.items.features["genres"].values.tolist() == [("drama", "war")]
    assert list(data.items.features) == ["genres"]


def test_features_may_be_lists_in_parquet(write, tmp_path):
    pl.DataFrame({"item": ["01", "02"], "genres": [["b", "a"], []]}).write_parquet(tmp_path / "items.parquet")
    data = table(interactions=write(RATINGS), items=tmp_path / "items.parquet")
    assert data.items.features["genres"].values.tolist() == [("a", "b"), ()]


@pytest.mark.parametrize(
    ("content", "settings", "message"),
    [
        (RATINGS + "3,01,good\n", {}, r"ratings.csv, line 5, column 'label': 'good' is not a finite number"),
        (
            RATINGS + "\n3,01,nan\n",
            {},
            r"ratings.csv, line 6, column 'label': 'nan' is no label; every row needs one, or data",
        ),
        (RATINGS + "3,01,\n", {}, r"ratings.csv, line 5, column 'label': '' is no label"),
        (RATINGS + ",01,3\n", {}, r"ratings.csv, line 5, column 'user': '' is no user"),
        (RATINGS + "3,,3\n", {}, r"ratings.csv, line 5, column 'item': '' is no item"),
        (RATINGS + "3,01\n", {}, r"ratings.csv, line 5: 2 values"),
        (
            RATINGS,
            {"columns": {"label": "stars"}},
            r"no column 'stars' \(dataset.columns.label\); there are user, item",
        ),
        (RATINGS, {"columns": {"time": "time"}}, r"no column 'time' \(dataset.columns.time\)"),
        (RATINGS, {"columns": {"time": "label"}}, "name a column twice"),
        (
            RATINGS,
            {"columns": {"lable": "x"}},
            "dataset.columns.lable: unknown; the columns are user, item, label, time",
        ),
        (RATINGS, {"columns": {"user": None}}, "dataset.columns.user is not set"),
        (RATINGS, {"label_range": [1, 4]}, r"line 2, column 'label': '5' is outside dataset.label_range, 1 to 4"),
        (RATINGS, {"label_range": [5, 1]}, r"dataset.label_range=\[5, 1\]"),
        (RATINGS, {"label_range": [5]}, r"dataset.label_range=\[5\]"),
        (RATINGS, {"like": 6}, "like=6 is outside the label range"),
        ("user,item,label\n1,1,1\n", {}, "every label is 1; set dataset.label_range"),
        ("user,item,label,t\n1,1,1,soon\n", {"columns": {"time": "t"}}, "line 2, column 't': 'soon' is no time"),
        ("user,item,label,t\n1,1,1,\n", {"columns": {"time": "t"}}, "line 2, column 't': '' is no time"),
        (
            RATINGS,
            {"separator": ";"},
            r"no columns 'user' \(dataset.columns.user\), 'item' \(dataset.columns.item\), .*there are user,item,label",
        ),
        ("", {}, "the file is empty"),
        (RATINGS, {"item_features": {"a": {"kind": "multi"}}}, "dataset.item_features.a needs a file: set dataset.ite"),
    ],
)
def test_refuses(write, content, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        table(interactions=write(content), **settings)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("content", "declared", "message"),
    [
        (
            ITEMS,
            {"plot": {"kind": "words"}},
            "item_features.plot.kind=words: must be one of categorical, multi, numeric, text, vector, weighted, or one",
        ),
        (
            ITEMS,
            {"genres": {"kind": "multi", "sep": ";"}},
            "item_features.genres.sep: a multi feature has no such setting; it has kind, missing, separator",
        ),
        (ITEMS, {"genres": {"separator": ";"}}, "declare dataset.item_features.genres.kind, one of categorical, multi"),
        (ITEMS, {"genres": {"kind": "multi", "missing": "-"}}, r"genres.missing=-: must be a list of texts, as \['NA'"),
        (ITEMS, {"genres": {"kind": "multi", "separator": ""}}, "must be at least one character"),
        (ITEMS, {"year": {"kind": "numeric", "separator": ";"}}, "a numeric feature has no such setting"),
        (
            ITEMS,
            {"years": {"kind": "numeric"}},
            r"no column 'years' \(dataset.item_features.years\); there are item, ti",
        ),
        (ITEMS, {"colour": {"kind": "numeric"}}, r"items.csv, line 2, column 'colour': 'red' is not a number"),
        ("item,x\n1,inf\n", {"x": {"kind": "numeric"}}, r"items.csv, line 2, column 'x': 'inf' is not finite"),
        ("item,x\n1,a\n1,b\n", {}, r"items.csv, line 3, column 'item': '1' has a second row"),
        ("item,x\n,a\n", {}, r"items.csv, line 2, column 'item': '' is no item; every row needs one"),
        ("id,x\n1,a\n", {}, r"items.csv: no column 'item' \(dataset.columns.item\); there are id, x"),
    ],
)
def test_refuses_features(write, content, declared, message):
    with pytest.raises(UserError, match=message):
        table(interactions=write(RATINGS), items=write(content, "items.csv"), item_features=declared)


def test_refuses_to_start_without_interactions():
    with pytest.raises(UserError, match=r"dataset.interactions is not set: name a CSV, TSV, JSON lines or Parquet"):
        table()


def test_columns_that_are_not_there_are_told_at_once_with_what_was_probably_meant(write):
    path = write("userId,movie_id,Rating,when\n1,2,3,4\n")
    with pytest.raises(UserError, match=r"no columns 'user' .*, 'item' .*, 'label' .*; there are userId, ") as caught:
        table(interactions=path)
    proposed = "perhaps dataset.columns.user=userId dataset.columns.item=movie_id dataset.columns.label=Rating"
    assert str(caught.value).endswith(proposed)


def test_names_may_be_of_any_alphabet(write):
    path = write("größe,товар,評価\n1,2,3\n1,3,5\n", "données.csv")
    data = table(interactions=path, columns={"user": "größe", "item": "товар", "label": "評価"})
    assert data.counts["interactions"] == 2
    with pytest.raises(UserError, match=r"données.csv: no column 'größer' .*perhaps dataset.columns.user=größe"):
        table(interactions=path, columns={"user": "größer", "item": "товар", "label": "評価"})


def test_a_file_of_features_without_a_header(write):
    data = table(
        interactions=write("1::01::5\n2::01::1\n", "ratings.dat"), header=["user", "item", "label"],
        items=write("01::Heat, the film::Action|Drama\n02::Dust::Drama\n", "movies.dat"),
        item_header=["item", "title", "genres"], item_features={"genres": {"kind": "multi"}},
    )  # fmt: skip
    assert data.items.features["genres"].values.tolist() == [("Action", "Drama")]
    movies = write("01::9\n02::8\n", "movies.dat")
    with pytest.raises(UserError, match=r"movies.dat: no column 'item'.*dataset.item_header="):
        table(interactions=write(RATINGS), items=movies)
