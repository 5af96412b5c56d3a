"""Who is ranked against whom, against the raw rows."""

import numpy as np
import polars as pl
import pytest

from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.matrix import matrix
from recmeta.types import UserError
from tests.protocols.test_matrix import SETTINGS


def items_of(problem, data, **where):
    """Task -> the items of its rows."""
    frame = problem.split.frame.filter(*(pl.col(name) == value for name, value in where.items()))
    found = {}
    for task, row in frame.select("task", "row").iter_rows():
        found.setdefault(str(data.users.ids[task]), set()).add(int(data.item[row]))
    return found


def candidates_of(problem, scenario):
    """Task -> the items that are ranked for it."""
    ranked = problem.candidates[scenario]
    listed = np.asarray(ranked.entity)
    return {
        name: set(listed[row].tolist())
        for name, row in zip(problem.names[scenario], np.asarray(ranked.allowed), strict=True)
    }


def test_full_is_everything_but_the_support(data, cut):
    problem = cut(data, candidates="full")
    shown = items_of(problem, data, role="test", part="support")
    for name, found in candidates_of(problem, "user_cold").items():
        assert found == set(range(len(data.items.ids))) - shown[name]


def test_query_rows_stand_where_they_are_said_to(data, cut):
    problem = cut(data, candidates="full")
    ranked = problem.candidates["user_cold"]
    assert bool(ranked.there.all())
    frame = problem.split.frame.filter(role="test", part="query")
    items = data.item[frame["row"].to_numpy()].reshape(-1, 4)
    np.testing.assert_array_equal(np.asarray(ranked.entity)[np.asarray(ranked.position)], items)
    assert np.take_along_axis(np.asarray(ranked.allowed), np.asarray(ranked.position), 1).all()


def test_what_a_known_user_has_in_training_is_no_candidate(data):
    problem = matrix(data, **SETTINGS | {"scenarios": {"warm": "w_w"}, "candidates": CandidateRule("full")})
    trained = items_of(problem, data, role="train")
    shown = items_of(problem, data, role="test", part="support")
    for name, found in candidates_of(problem, "warm").items():
        assert found == set(range(len(data.items.ids))) - trained[name] - shown[name]


def test_cold_is_what_training_has_not_seen(data):
    problem = matrix(data, **SETTINGS | {"scenarios": {"item_cold": "w_c"}, "candidates": CandidateRule("cold")})
    frame = problem.split.frame.filter(role="train")
    seen = set(data.item[frame["row"].to_numpy()].tolist())
    assert set(np.asarray(problem.candidates["item_cold"].entity).tolist()).isdisjoint(seen)


def test_available_has_appeared_by_the_first_query_row(data, cut):
    problem = cut(data, candidates="available", order="time")
    frame = problem.split.frame.filter(role="test", part="query")
    for task, found in candidates_of(problem, "user_cold").items():
        rows = frame.filter(pl.col("task") == data.users.ids.tolist().index(task))["row"].to_numpy()
        asked = data.item[rows].tolist()
        for item in found - set(asked):
            assert data.time[data.item == item].min() <= data.time[rows].min()


def test_sampled_are_as_many_as_asked_for_and_the_same_again(data, cut):
    problem, again, other = (cut(data, candidates="sampled", number=9, seed=seed) for seed in (0, 0, 1))
    shown, asked = (items_of(problem, data, role="test", part=part) for part in ("support", "query"))
    sizes = set()
    for name, found in candidates_of(problem, "user_cold").items():
        assert found.isdisjoint(shown[name])
        assert asked[name] <= found
        sizes.add(len(found))
        assert len(found - asked[name]) <= 9
    assert max(sizes) > 9
    assert candidates_of(problem, "user_cold") == candidates_of(again, "user_cold")
    assert candidates_of(problem, "user_cold") != candidates_of(other, "user_cold")


def test_a_sample_is_said_to_be_one_and_each_kind_is_another_protocol(data, cut):
    kinds = {"query": None, "full": None, "available": None, "sampled": 9}
    problems = {kind: cut(data, candidates=kind, number=number) for kind, number in kinds.items()}
    assert len({problem.split.sha256 for problem in problems.values()}) == 4
    notes = {kind: [note for note in problem.split.notes if "candidates" in note] for kind, problem in problems.items()}
    assert "about 1 + (r - 1) x 3.2 among all" in notes.pop("sampled")[0]
    assert not any(notes.values())


@pytest.mark.parametrize(("settings", "message"), [
    ({"candidates": "sampled"}, "give how many of the 30 items"),
    ({"candidates": "sampled", "number": 30}, "fewer than all"),
    ({"candidates": "cold"}, "no query row is among them"),
])  # fmt: skip
def test_refuses(data, cut, settings, message):
    with pytest.raises(UserError, match=message):
        cut(data, **settings)
