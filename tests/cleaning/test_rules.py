import time
from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recmeta.cleaning import activity, binarise, kcore, label_range, missing, window
from recmeta.datasets.interactions import fingerprint, make_interactions
from recmeta.datasets.ml_100k import ml_100k
from recmeta.types import Column, Entities, Interactions, UserError

# --- label_range ---


def test_labels_outside_the_range_are_dropped(tiny, shown):
    data = label_range(tiny("a1 a2 b1 b2", [0, 1, 5, 3]), low=1, high=4)
    assert shown(data) == "a2 b2"
    assert data.label.tolist() == [1, 3]
    assert (data.label_range, data.like) == ((1.0, 4.0), 1.0)


def test_or_they_are_clipped(tiny, shown):
    data = label_range(tiny("a1 a2 b1 b2", [0, 1, 5, 3]), low=1, high=4, outside="clip", like=2)
    assert shown(data) == "a1 a2 b1 b2"
    assert data.label.tolist() == [1, 1, 4, 3]
    assert data.like == 2


def test_a_bound_is_within_as_labels_have_it(tiny):
    """0.1 in single precision is above 0.1 in double, and 0.3 below 0.3 may not fall out either."""
    data = tiny("a1 a2", [0.1, 0.7], like=0.1)
    assert len(label_range(data, low=0.1, high=0.7).label) == 2


# --- binarise ---


def test_labels_from_the_threshold_on_are_one(tiny):
    data = binarise(tiny("a1 a2 b1 b2", [0, 3, 5, 2], like=3))
    assert data.label.tolist() == [0, 1, 1, 0]
    assert (data.label_range, data.like) == ((0.0, 1.0), 1.0)
    assert binarise(tiny("a1 a2", [2, 3]), threshold=2.5).label.tolist() == [0, 1]


def test_what_is_below_may_be_dropped(tiny, shown):
    data = binarise(tiny("a1 a2 b1 b2", [0, 3, 5, 2], like=3), below="drop")
    assert shown(data) == "a2 b1"
    assert data.label.tolist() == [1, 1]


# --- kcore ---


def test_dropping_one_can_leave_the_next_with_too_few(tiny, shown):
    # c has one row; without it item 3 has one; without that a still has two, and so have 1 and 2.
    data = kcore(tiny("a1 a2 a3 b1 b2 c3"), users=2, items=2)
    assert shown(data) == "a1 a2 b1 b2"
    assert (data.users.ids.tolist(), data.items.ids.tolist()) == (["a", "b"], ["1", "2"])
    assert (data.user.dtype, data.item.dtype) == (np.int32, np.int32)


def test_a_core_can_be_empty(tiny):
    assert not len(kcore(tiny("a1 a2 b2 b3 c3"), users=2, items=2).user)


@pytest.mark.parametrize("seed", range(8))
def test_the_core_is_what_brute_force_finds(seed, tiny, table):
    rng = np.random.default_rng(seed)
    users, items = (int(least) for least in rng.integers(1, 5, 2))
    words = {f"{chr(97 + u)}{chr(65 + i)}" for u, i in zip(*rng.integers(0, (12, 9), (60, 2)).T, strict=True)}
    data = tiny(" ".join(sorted(words)))
    left = set(words)
    while lacking := {
        word
        for word in left
        if sum(other[0] == word[0] for other in left) < users or sum(other[1] == word[1] for other in left) < items
    }:
        left.remove(min(lacking))  # one at a time: the core does not depend on the order
    assert {user + item for user, item, _ in table(kcore(data, users=users, items=items))} == left


@pytest.mark.real
def test_the_ten_core_of_movielens():
    """A single pass: without the items of fewer than ten ratings, every user still has ten."""
    data = ml_100k()
    popular = np.bincount(data.item)[data.item] >= 10
    assert np.bincount(data.user[popular]).min() >= 10
    core = kcore(data, users=10, items=10)
    assert len(core.user) == popular.sum() == 97_953
    assert (len(core.users.ids), len(core.items.ids)) == (943, 1152)


@pytest.mark.slow
def test_a_million_rows_take_a_few_seconds():
    rng = np.random.default_rng(0)
    # Activity and popularity fall off as 1 / rank: few have much, most have next to nothing.
    user, item = (np.exp(rng.random(1_000_000) * np.log(size)).astype(np.int64) for size in (200_000, 50_000))
    user_ids, user = np.unique(user, return_inverse=True)
    item_ids, item = np.unique(item, return_inverse=True)
    one = np.ones(len(user), np.float32)
    users, items = (Entities(ids.astype(str)) for ids in (user_ids, item_ids))
    data = Interactions("big", user, item, one, None, users, items, (0, 1), 1, {}, "")
    start = time.perf_counter()
    core = kcore(data, users=5, items=5)
    assert time.perf_counter() - start < 5
    assert 0 < len(core.user) < len(data.user)
    assert min(np.bincount(core.user).min(), np.bincount(core.item).min()) >= 5


# --- activity ---


def test_users_and_items_are_counted_once(tiny, shown):
    data = tiny("a1 a2 a3 b1 b2 c3 d1")
    assert shown(activity(data, users=(2, None))) == "a1 a2 a3 b1 b2"
    assert shown(activity(data, users=(None, 2))) == "b1 b2 c3 d1"
    assert shown(activity(data, users=(2, 2))) == "b1 b2"
    # Item 3 has two rows as they come in, one of which its user takes along.
    assert shown(activity(data, users=(2, None), items=(None, 2))) == "a2 a3 b2"


# --- window ---


def test_the_beginning_is_in_and_the_end_is_not(tiny, shown):
    day = 86400
    data = tiny("a1 a2 b1 b2", time=[0, day, 2 * day, 3 * day])
    assert shown(window(data, since=day, before=3 * day)) == "a2 b1"
    assert shown(window(data, since="1970-01-02", before="1970-01-04")) == "a2 b1"
    assert shown(window(data, since="1970-01-02T01:00:00+01:00", before="1970-01-02 00:00:01")) == "a2"
    assert shown(window(data, since="1970-01-03")) == "b1 b2"


# --- missing ---


def featured(data):
    """Age and job of a and b, tags of 1 and 2; a's job and 2's tags are missing."""
    tags = np.empty(2, object)
    tags[:] = [("x",), ()]
    users = {"age": Column("numeric", np.array([1.0, np.nan])), "job": Column("categorical", np.array(["", "cook"]))}
    return replace(
        data, users=Entities(data.users.ids, users), items=Entities(data.items.ids, {"tags": Column("multi", tags)})
    )


@pytest.mark.parametrize(
    ("features", "left"),
    [(("user.age",), "a1 a2"), (("user.job",), "b1 b2"), (("item.tags",), "a1 b1"), (("user.age", "item.tags"), "a1")],
)
def test_rows_of_those_that_lack_a_feature_are_dropped(tiny, shown, features, left):
    data = missing(featured(tiny("a1 a2 b1 b2")), features=features)
    assert shown(data) == left
    assert len(data.items.features["tags"].values) == len(data.items.ids)


def test_all_features_are_asked_for_unless_said(tiny):
    assert not len(missing(featured(tiny("a1 a2 b1 b2"))).user)


# --- all of them ---


@pytest.mark.parametrize(
    "rule",
    [
        lambda data: label_range(data, low=2, high=4),
        lambda data: binarise(data, below="drop"),
        lambda data: kcore(data, users=8, items=17),
        lambda data: activity(data, users=(13, 15), items=(12, None)),
        lambda data: window(data, since=100, before=500),
        lambda data: missing(data, features=("user.age",)),
    ],
)
def test_the_order_of_rows_does_not_matter(rule, data, table, shuffled):
    assert table(rule(shuffled(data))) == table(rule(data))
    assert 0 < len(rule(data).user) < len(data.user)


def test_features_stay_with_whom_they_are_of(data):
    """Ages are 20 and the number in the id; every seventh is missing."""
    kept = kcore(data, users=8, items=17)
    assert len(kept.users.ids) == 40
    numbers = np.array([int(name[1:]) for name in kept.users.ids])
    np.testing.assert_array_equal(kept.users.features["age"].values, np.where(numbers % 7, numbers + 20.0, np.nan))


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        (lambda data: label_range(data, low=3, high=3), "low=3: must be below high=3"),
        (lambda data: label_range(data, low=2, high=3), "like=1 is outside the label range; set like to "),
        (lambda data: binarise(data, threshold=6), "threshold=6: must be within the label range, 0 to 5"),
        (lambda data: activity(data, items=(3, 2)), r"items=\[3, 2\]: the fewest rows must not be above the most"),
        (lambda data: window(data, since=0), "tiny has no times"),
        (lambda data: window(replace(data, time=data.user), since="May"), "since=May: give seconds since"),
        (lambda data: window(replace(data, time=data.user), since=5, before=5), "since=5: must be earlier than "),
        (lambda data: missing(data), "it takes categorical or multi or numeric or text or vector or weighted features"),
        (
            lambda data: missing(featured(data), features=("user.size",)),
            r"features=user.size: no such feature; the features are: user.age \(numeric\), user.job \(categorical\), ",
        ),
    ],
)  # fmt: skip
def test_refuses(rule, said, tiny):
    with pytest.raises(UserError, match=f"^{said}"):
        rule(tiny("a1 a2 b1 b2"))


def test_sentinels_that_are_removed_change_nothing(frames):
    """Rows of a label that stands for something else, added and then removed: the default like is what it was."""
    rows, users, items = frames
    new = rows.with_columns(label=pl.lit(-1.0), item=pl.lit("never rated"), user=pl.col("user") + pl.lit("x"))
    plain = make_interactions("plain", rows, users=users, items=items, label_range=(1, 5), like=None)
    with_new = make_interactions("plain", rows.vstack(new), users=users, items=items, label_range=(-1, 5), like=None)
    assert (plain.like, with_new.like) == (4, 3.5)
    found = label_range(with_new, low=1, high=5)
    assert fingerprint(found) == fingerprint(plain)
    assert found.default_like
    assert [note for note in found.notes if "like" in note] == ["like is 4: three quarters up the label range"]
    # One that somebody set stays.
    assert label_range(replace(with_new, like=3.0, default_like=False), low=1, high=5).like == 3
    assert label_range(with_new, low=1, high=5, like=2).like == 2
    assert not label_range(with_new, low=1, high=5, like=2).default_like
