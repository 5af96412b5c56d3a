"""A split that is given: every row is where the file says, and what it leaves open is refused or drawn."""

import numpy as np
import polars as pl
import pytest

from recmeta.cleaning.implicit import negatives
from recmeta.cleaning.rules import binarise, kcore
from recmeta.datasets.interactions import make_interactions
from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.episodes import Episodes
from recmeta.protocols.given import COLUMNS
from recmeta.protocols.manifest import manifest
from recmeta.types import UserError

SETTINGS = {
    "file": None, "columns": COLUMNS, "known": None, "task": "user", "seed": 0, "order": "random", "labels": "rating",
    "episodes": Episodes(shots=(0, 1, 3), query=2), "candidates": CandidateRule(),
}  # fmt: skip


@pytest.fixture
def split(tmp_path, frames):
    """``split(role, **columns)``: a file of the small data set's rows with these columns, expressions of polars."""

    def split(role, **columns):
        path = tmp_path / "split.csv"
        frames[0].with_row_index().with_columns(role=role, **columns).drop("index", "label", "time").write_csv(path)
        return path

    return split


def number():
    """Which user a row is of, from 0."""
    return pl.col("user").str.slice(1).cast(pl.Int64)


def by_user():
    """Whole users: of seven, one is tested on and one is meta-validation."""
    return pl.when(number() % 7 == 0).then(pl.lit("test")).when(number() % 7 == 1).then(pl.lit("valid")).otherwise(
        pl.lit("train")
    )  # fmt: skip


def by_row():
    """Of each user the rows 0 to 5 of eight train, 6 is meta-validation, and 7 is tested on."""
    place = pl.col("index") % 8
    return pl.when(place == 7).then(pl.lit("Test")).when(place == 6).then(pl.lit("valid")).otherwise(pl.lit("train"))


def rows(problem, **where):
    return problem.split.frame.filter(*(pl.col(name) == value for name, value in where.items()))


def pairs(data, rows):
    return set(zip(data.users.ids[data.user[rows]].tolist(), data.items.ids[data.item[rows]].tolist(), strict=True))


def listed(path, **where):
    frame = pl.read_csv(path).filter(*(pl.col(name) == value for name, value in where.items()))
    return set(frame.select("user", "item").iter_rows())


def test_whole_users_are_new_ones(data, split):
    path = split(by_user())
    problem = manifest(data, **SETTINGS | {"file": path})
    assert list(problem.test) == ["manifest"]
    for role, word in (("train", "train"), ("validation", "valid"), ("test", "test")):
        found = pairs(data, rows(problem, role=role)["row"].to_numpy())
        assert found <= listed(path, role=word)
        assert {user for user, _ in found} == {user for user, _ in listed(path, role=word)} - {"u40", "u41"}
    assert problem.spec.context[0].name != "id"
    counts = problem.split.counts
    assert (counts["manifest_users"], counts["manifest_users_trained_on"]) == (6, 0)
    assert counts["train_rows"] + counts["train_rows_dropped_by_history_filter"] == len(listed(path, role="train"))


@pytest.mark.parametrize("order", ["random", "time"])
def test_of_split_histories_the_support_is_trained_on_and_the_query_is_not(data, split, order):
    path = split(by_row())
    problem = manifest(data, **SETTINGS | {"file": path, "episodes": Episodes(shots=(0, 3), query=1), "order": order})
    train = rows(problem, role="train")["row"].to_numpy()
    support, query = (rows(problem, role="test", part=part)["row"].to_numpy() for part in ("support", "query"))
    assert np.isin(support, train).all()
    assert pairs(data, query) <= listed(path, role="Test")
    assert pairs(data, rows(problem, role="validation", part="query")["row"].to_numpy()) <= listed(path, role="valid")
    assert problem.spec.context[0].name == "id"
    assert (np.asarray(problem.test["manifest"].task.context["id"]) > 0).all()
    if order == "time":
        for user in np.unique(data.user[support]):
            mine, known = np.sort(data.time[support[data.user[support] == user]]), train[data.user[train] == user]
            np.testing.assert_array_equal(mine, np.sort(data.time[known])[-3:])


def test_parts_and_scenarios_are_as_the_file_has_them(data, split):
    part = pl.when(by_user() == "train").then(None).when(pl.col("index") % 3 == 0).then(pl.lit("query")).otherwise(
        pl.lit("support")
    )  # fmt: skip
    path = split(by_user(), part=part, of=pl.when(number() < 20).then(pl.lit("early")).otherwise(pl.lit("late")))
    problem = manifest(
        data, **SETTINGS | {"file": path, "columns": {**COLUMNS, "part": "part", "scenario": "of"}, "known": False}
    )
    assert list(problem.test) == ["early", "late"]
    for scenario in problem.test:
        for name in ("support", "query"):
            found = pairs(data, rows(problem, scenario=scenario, part=name)["row"].to_numpy())
            assert found
            assert found <= listed(path, role="test", part=name, of=scenario)


def test_rows_of_no_role_are_counted(data, split):
    path = split(by_user())
    frame = pl.read_csv(path).filter(pl.col("item") != "i03").vstack(
        pl.DataFrame({"user": ["nobody"], "item": ["i01"], "role": ["train"]})
    )  # fmt: skip
    frame.write_csv(path)
    counts = manifest(data, **SETTINGS | {"file": path}).split.counts
    assert counts["manifest_rows_without_interaction"] == 1
    assert counts["rows_of_no_role"] == int((data.items.ids[data.item] == "i03").sum())


def parted(frames, role):
    """The small data set with the parts of its own files."""
    codes = {"train": 0, "valid": 1, "test": 2, "Test": 2}
    part = frames[0].with_row_index().select(role.replace_strict(codes, return_dtype=pl.Int8).alias("part"))["part"]
    return make_interactions("parted", frames[0].with_columns(part), label_range=(1, 5), like=4)


def test_the_files_of_a_data_set_may_give_the_split(data, frames, split):
    own, given = parted(frames, by_user()), split(by_user())
    found, expected = manifest(own, **SETTINGS), manifest(data, **SETTINGS | {"file": given})
    for role in ("train", "validation", "test"):
        assert pairs(own, rows(found, role=role)["row"]) == pairs(data, rows(expected, role=role)["row"])
    assert own.sha256 != parted(frames, by_row()).sha256


def test_cleaning_keeps_the_parts(frames):
    own = parted(frames, by_row())
    before = dict(zip(pairs_in_order(own), own.part.tolist(), strict=True))
    cleaned = kcore(own, users=5, items=2)
    assert len(cleaned.user) < len(own.user)
    assert all(before[pair] == part for pair, part in zip(pairs_in_order(cleaned), cleaned.part, strict=True))
    drawn = negatives(binarise(own), per_positive=1, pool="all")
    liked = drawn.label == 1
    new = [pair not in before for pair in pairs_in_order(drawn)]
    assert np.bincount(drawn.part[new], minlength=3).tolist() == np.bincount(drawn.part[liked], minlength=3).tolist()


def pairs_in_order(data):
    return list(zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True))


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        (None, {"file": None}, "the files of small give no split; set protocol.file"),
        (lambda text: text.replace("role", "split"), {}, r"split.csv: no column 'role' \(protocol.columns.role\)"),
        (
            lambda text: text.replace("train", "tarin", 1),
            {},
            "split.csv, line 33, column 'role': 'tarin' is none",
        ),
        (lambda text: text + "u02,i05,test\nu02,i05,train\n", {}, "'u02' has this item in an earlier line already"),
        (lambda text: text.replace(",i", ",j").replace(",jtem", ",item"), {}, "none of its .* is in small"),
        (None, {"columns": {"rolle": "x"}}, "protocol.columns.rolle: unknown"),
        (None, {"columns": {**COLUMNS, "role": None}}, "protocol.columns.role is not set"),
        (None, {"columns": {**COLUMNS, "part": "part"}}, "no column 'part'"),
        (lambda text: text.replace("valid", "train"), {}, "leaves 0 tasks for meta-validation"),
        (
            lambda text: text.replace(",test", ",train", 3),
            {},
            "who are validated or tested on, 1 have train rows",
        ),
    ],
)
def test_refuses(data, split, change, settings, message):
    path = split(by_user())
    if change:
        path.write_text(change(path.read_text()))
    with pytest.raises(UserError, match=message) as caught:
        manifest(data, **SETTINGS | {"file": path} | settings)
    assert "\n" not in str(caught.value)
