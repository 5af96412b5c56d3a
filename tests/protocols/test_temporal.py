"""One moment for all: nothing that is trained on is later than what it helps to predict."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recmeta.datasets.synthetic import synthetic
from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.episodes import Episodes
from recmeta.protocols.temporal import temporal
from recmeta.types import UserError

EPISODES = Episodes(shots=(0, 1, 3), query=2)
SETTINGS = {
    "task": "user", "cut": 0.7, "validation_cut": 0.5, "labels": "rating", "episodes": EPISODES,
    "candidates": CandidateRule(),
}  # fmt: skip


@pytest.fixture(scope="module")
def world():
    """Users who come one after another, within a year."""
    return synthetic(users=200, items=40, rank=2, per_user=(6, 12), seed=1)


@pytest.fixture(scope="module")
def problem(world):
    return temporal(world, **SETTINGS)


def rows(problem, role):
    return problem.split.frame.filter(pl.col("role") == role)["row"].to_numpy()


def test_roles_follow_one_another(world, problem):
    train, validation, test = (world.time[rows(problem, role)] for role in ("train", "validation", "test"))
    ordered = np.sort(world.time)
    first, second = ordered[len(ordered) // 2], ordered[int(0.7 * len(ordered))]
    assert train.max() < first <= validation.min()
    assert validation.max() < second <= test.min()
    assert problem.split.leak == {"temporal_train_rows_later_than_a_query_row": 0}


def test_who_is_tested_on_has_just_appeared(world, problem):
    before = set(world.user[world.time < world.time[rows(problem, "test")].min()].tolist())
    assert before.isdisjoint(world.user[rows(problem, "test")].tolist())
    assert set(world.user[rows(problem, "validation")].tolist()).isdisjoint(world.user[rows(problem, "train")].tolist())


def test_the_support_is_the_first_rows_and_the_query_the_next(world, problem):
    frame = problem.split.frame.filter(pl.col("role") == "test")
    for user in frame["task"].unique().to_list():
        mine = frame.filter(pl.col("task") == user)
        shown, asked = (
            mine.filter(pl.col("part") == part).sort("position")["row"].to_numpy() for part in ("support", "query")
        )
        history = np.flatnonzero(world.user == user)
        expected = history[np.lexsort((world.item[history], world.time[history]))][:5]
        np.testing.assert_array_equal(np.concatenate([shown, asked]), expected)


def test_refusals(world):
    with pytest.raises(UserError, match="no time column"):
        temporal(replace(world, time=None), **SETTINGS)
    with pytest.raises(UserError, match=r"must be below protocol\.cut=0\.7"):
        temporal(world, **SETTINGS | {"validation_cut": 0.7})
    with pytest.raises(UserError, match="needs 2 or more"):
        temporal(world, **SETTINGS | {"episodes": EPISODES._replace(shots=(0, 30))})
