"""Rows of a user at one time: their order says nothing, and does not depend on names."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recmeta.datasets.interactions import make_interactions
from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.episodes import Episodes
from recmeta.protocols.plan import histories
from recmeta.protocols.temporal import temporal
from recmeta.protocols.ties import tie_keys, tie_note, tied


def coarse(frames):
    """The small data set, each user at three or four moments."""
    rows, _, _ = frames
    return rows.with_columns(time=pl.col("time") // 150)


def make(rows):
    return make_interactions("ties", rows, label_range=(1, 5), like=4)


@pytest.fixture(scope="module")
def tie_data(frames):
    return make(coarse(frames))


def parts(problem, data, names=None):
    """The manifest in words: who, which item by its first name, which part and place."""
    first = names or {}
    frame = problem.split.frame
    items = [first.get(name, name) for name in data.items.ids[data.item[frame["row"].to_numpy()]].tolist()]
    who = data.users.ids[data.user[frame["row"].to_numpy()]].tolist()
    return list(zip(frame["role"], who, items, frame["part"], frame["position"], strict=True))


def arrivals(data):
    return temporal(
        data, task="user", cut=0.6, validation_cut=0.3, labels="rating", episodes=Episodes(shots=(0, 2), query=2),
        candidates=CandidateRule(),
    )  # fmt: skip


@pytest.mark.parametrize("protocol", ["user_cold", "temporal"])
def test_renaming_and_shuffling_change_nothing(frames, cut, protocol):
    rows = coarse(frames)
    if protocol == "temporal":  # users who come one after another
        rows = rows.with_columns(time=pl.col("time") + 2 * pl.col("user").str.slice(1).cast(pl.Int64))
    split = arrivals if protocol == "temporal" else lambda data: cut(data, order="time")
    names = {f"i{n:02}": f"{(n * 7 + 3) % 30:02}" for n in range(30)}
    data, renamed = make(rows), make(rows.with_columns(pl.col("item").replace_strict(names)))
    shuffled = make(rows.sample(fraction=1, shuffle=True, seed=3))
    assert data.items.ids.tolist() != sorted(names, key=names.__getitem__)
    expected = parts(split(data), data)
    back = {new: old for old, new in names.items()}
    assert parts(split(renamed), renamed, back) == expected
    assert parts(split(shuffled), shuffled) == expected


def test_an_order_within_a_tie_is_by_chance_of_the_seed(tie_data):
    """No place within a tie is that of the first item of the alphabet more often than others, over many seeds."""
    constant = replace(tie_data, time=np.zeros_like(tie_data.time))
    places = []
    for seed in range(200):
        found = histories(constant, order="time", seed=seed)
        rows = found.row[: found.start[1]]
        places.append(np.argsort(constant.item[rows]).tolist())
    places = np.array(places)
    assert len({tuple(place) for place in places.tolist()}) == 200
    size = places.shape[1]
    np.testing.assert_allclose(places.mean(axis=0), (size - 1) / 2, atol=4 * size / np.sqrt(12 * 200))


def test_time_comes_before_chance_and_training_reads_the_same_order(tie_data, cut):
    problem = cut(tie_data, order="time", seed=5)
    expected = histories(tie_data, order="time", seed=5)
    assert (np.diff(tie_data.time[expected.row]) >= 0)[np.diff(tie_data.user[expected.row]) == 0].all()
    of_user = {user: expected.row[expected.start[t] : expected.start[t + 1]] for t, user in enumerate(expected.entity)}
    train = problem.train
    for t, user in enumerate(np.asarray(train.entity).tolist()):
        rows = slice(int(train.start[t]), int(train.start[t] + train.size[t]))
        np.testing.assert_array_equal(train.row[rows], tie_data.item[of_user[user]])
    shown = problem.split.frame.filter(role="test", part="support").sort("task", "position")
    for (user,), mine in shown.group_by("task", maintain_order=True):
        np.testing.assert_array_equal(mine["row"], of_user[user][: len(mine)])


def test_labels_have_no_part_in_the_order(tie_data):
    other = replace(tie_data, label=tie_data.label[::-1].copy())
    np.testing.assert_array_equal(tie_keys(tie_data, 0), tie_keys(other, 0))
    assert len(set(tie_keys(tie_data, 0).tolist())) == len(tie_data.user)


def test_the_share_of_ties_and_the_cuts_within_one_are_told(frames, cut, data):
    rows = pl.DataFrame(
        {"user": list("aaaabb"), "item": list("wxyzwx"), "label": [1.0, 2, 3, 4, 5, 1], "time": [1, 1, 1, 2, 1, 3]}
    )
    small = make(rows)
    assert tied(small).tolist() == [True, True, True, False, False, False]
    test = {"cold": (np.array([[0, 1], [4, -1]]), np.array([[2, 3], [5, -1]]))}
    assert "50.0% of rows" in tie_note(small, test)
    assert "1 of 2 tasks (cold)" in tie_note(small, test)
    assert "no two rows of a user have the same time" in tie_note(data, {})
    assert any("come in an order by chance" in note for note in cut(make(coarse(frames)), order="time").split.notes)
    assert not any("time order" in note for note in cut(data).split.notes)
