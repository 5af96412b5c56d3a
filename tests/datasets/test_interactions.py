from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recmeta.datasets.interactions import fingerprint, make_interactions
from recmeta.types import UserError

ROWS = pl.DataFrame(
    {"user": ["b", "a", "a", "10", "9"], "item": ["x", "y", "x", "x", "y"], "label": [1.0, 2.0, 3.0, 4.0, 5.0]}
)
USERS = pl.DataFrame(
    {
        "who": ["a", "b", "10", "never"],
        "age": [30.0, None, 0.0, 1.0],
        "job": ["cook", "", None, "cook"],
        "tags": [["q", "p", "p"], [], None, ["z"]],
    }
)


def made(rows=ROWS, **changes):
    return make_interactions("tiny", rows, **{"label_range": (1, 5), "like": 4, **changes})


def test_codes_follow_ids_sorted_as_text_and_rows_follow_user_time_item():
    data = made(ROWS.with_columns(time=pl.Series([0, 7, 8, 0, 0])))
    assert data.users.ids.tolist() == ["10", "9", "a", "b"]
    assert data.items.ids.tolist() == ["x", "y"]
    assert data.user.tolist() == [0, 1, 2, 2, 3]
    assert data.item.tolist() == [0, 1, 1, 0, 0]
    assert data.label.tolist() == [4, 5, 2, 3, 1]
    assert data.time is not None
    assert data.time.tolist() == [0, 0, 7, 8, 0]
    assert [values.dtype for values in (data.user, data.item, data.label, data.time)] == ["i4", "i4", "f4", "i8"]


def test_the_hash_is_the_same_for_any_order_of_rows_and_columns():
    shuffled = ROWS.sample(fraction=1, shuffle=True, seed=1).select("label", "item", "user")
    features = USERS.reverse().select("who", "tags", "job", "age")
    assert made(users=USERS).sha256 == made(shuffled, users=features).sha256


def test_the_hash_is_pinned():
    data = made(ROWS.with_columns(time=pl.Series([0, 7, 8, 0, 0])), users=USERS)
    assert data.sha256 == fingerprint(data) == fingerprint(replace(data, name="other", notes=("a note",)))
    assert data.sha256 == "2c5a536efd5ee0583bc9bb4212dcc707a51ad6d65e4bad714cc7f303c2fc1769"


@pytest.mark.parametrize(
    "change",
    [
        {"rows": ROWS.with_columns(label=pl.Series([1.0, 2.0, 3.0, 4.0, 4.5]))},
        {"rows": ROWS.with_columns(item=pl.Series(["x", "y", "x", "x", "z"]))},
        {"rows": ROWS.with_columns(time=pl.Series([0, 0, 0, 0, 0]))},
        {"label_range": (0, 5)},
        {"like": 3},
        {"users": USERS},
        {"users": USERS.with_columns(age=pl.lit(1.0))},
        {"users": USERS.select("who", "job")},
        {"users": USERS.select("who", post="job")},
    ],
)
def test_the_hash_changes_with(change):
    hashes = {made().sha256, made(users=USERS.select("who", "age")).sha256}
    assert made(**change).sha256 not in hashes


def test_the_latest_of_a_repeated_pair_is_kept_and_counted():
    rows = pl.DataFrame({"user": ["a"] * 3, "item": ["x"] * 3, "label": [1.0, 2.0, 3.0]})
    assert made(rows).label.tolist() == [3]
    timed = made(rows.with_columns(time=pl.Series([5, 9, 9])))
    assert timed.label.tolist() == [3]
    earlier_last = made(rows.with_columns(time=pl.Series([5, 9, 1])))
    assert earlier_last.label.tolist() == [2]
    assert (timed.counts["rows"], timed.counts["duplicates"], timed.counts["interactions"]) == (3, 2, 1)
    assert "2 of 3 rows repeat a (user, item) pair" in timed.notes[0]


@pytest.mark.parametrize(
    ("duplicates", "kept", "said"),
    [
        ("last", (2, 9), "the latest of each"),
        ("first", (4, 1), "the earliest of each"),
        ("mean", (3, 9), "the latest, with the mean label, of each"),
    ],
)
def test_what_becomes_of_a_repeated_pair(duplicates, kept, said):
    rows = pl.DataFrame({"user": ["a"] * 3, "item": ["x"] * 3, "label": [3.0, 2.0, 4.0], "time": [5, 9, 1]})
    data = made(rows, duplicates=duplicates)
    assert data.time is not None
    assert (data.label.tolist(), data.time.tolist()) == ([kept[0]], [kept[1]])
    assert data.counts["duplicates"] == 2
    assert said in data.notes[0]
    assert made(rows.reverse(), duplicates=duplicates).sha256 == data.sha256


def test_without_a_time_the_first_is_the_sources():
    rows = pl.DataFrame({"user": ["a", "b", "a"], "item": ["x"] * 3, "label": [3.0, 2.0, 4.0]})
    assert made(rows, duplicates="first").label.tolist() == [3, 2]
    assert made(rows, duplicates="mean").label.tolist() == [3.5, 2]


def test_what_the_source_had_and_was_left_out_is_counted():
    data = made(dropped={"implicit": 7})
    assert (data.counts["rows"], data.counts["implicit"], data.counts["interactions"]) == (12, 7, 5)
    assert data.sha256 == made().sha256


def test_features_are_aligned_with_codes_and_what_is_missing_is_counted():
    data = made(users=USERS)
    assert data.users.ids.tolist() == ["10", "9", "a", "b"]
    age, job, tags = (data.users.features[name] for name in ("age", "job", "tags"))
    assert (age.kind, job.kind, tags.kind) == ("numeric", "categorical", "multi")
    np.testing.assert_array_equal(age.values, [0.0, np.nan, 30.0, np.nan])
    assert job.values.tolist() == ["", "", "cook", ""]
    assert tags.values.tolist() == [(), (), ("p", "q"), ()]
    assert data.counts["users_without_features"] == 1
    assert data.counts["user_rows_without_interactions"] == 1
    assert "items_without_features" not in data.counts
    assert len(data.notes) == 2


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"rows": ROWS.clear()}, "no interactions"),
        ({"label_range": (5, 1)}, r"label_range=\[5, 1\] is empty"),
        (
            {"users": USERS.rename({"job": "id"})},
            "tiny: the user features have a column 'id', which is recmeta's own name",
        ),
        (
            {"items": pl.DataFrame({"x": ["x"], "id": [1.0]})},
            "the item features have a column 'id'.*; rename that column",
        ),
        ({"like": 6}, "like=6 is outside the label range; give a number from 1 to 5"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UserError, match=message):
        made(**change)
