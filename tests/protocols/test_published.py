"""The published splits, on the real MovieLens 1M: as many tasks and ratings as their files have."""

import numpy as np
import polars as pl
import pytest

from recmeta.baselines.panel import BASELINES
from recmeta.baselines.tuning import evaluate_baselines, tune_baselines
from recmeta.datasets.movielens import ml_1m
from recmeta.evaluation.score import make_scored
from recmeta.metrics import metric
from recmeta.protocols.melu import melu
from recmeta.protocols.metahin import metahin
from recmeta.protocols.published import PublishedEpisodes
from recmeta.protocols.tanp import TanpEpisodes, tanp
from recmeta.types import UserError

COMMON = {
    "seed": 0, "validation": 0.1, "held_out_pairs": 0.1, "episodes": PublishedEpisodes(shots=(0, 90), query=10)
}  # fmt: skip


@pytest.fixture(scope="module")
def movies():
    return ml_1m(path=None, like=4.0, zip_digits=1)


def rows(problem, **where):
    return problem.split.frame.filter(*(pl.col(name) == value for name, value in where.items()))["row"].to_numpy()


@pytest.mark.real
@pytest.mark.slow
def test_melu_has_its_tasks_and_its_floor(movies, key):
    """668, 2,863 and 723 tasks; user+item bias errs as in an independent computation with the same two shrinkages.

    Over eight draws of the queries: one draw's standard deviation is 0.002 to 0.006.
    """
    bias = BASELINES["user_item_bias"]._replace(grid={"item_shrinkage": (10.0,), "user_shrinkage": (5.0,)})
    found = []
    for seed in range(8):
        problem = melu(movies, **COMMON | {"seed": seed})
        assert [len(problem.names[state]) for state in ("c_w", "w_c", "c_c")] == [668, 2863, 723]
        tuned = tune_baselines({"user_item_bias": bias}, problem, [metric("mae")], metric("mae"), calibrates=False)
        scores = evaluate_baselines(tuned, problem, key, [metric("mae")], make_scored([metric("mae")], problem.spec))
        means = scores.filter(pl.col("shots") == 90).group_by("scenario").agg(pl.col("mae").mean())
        found.append(dict(means.iter_rows()))
    for state, expected in {"c_w": 0.753, "w_c": 0.884, "c_c": 0.881}.items():
        assert np.mean([each[state] for each in found]) == pytest.approx(expected, abs=0.01)


@pytest.mark.real
@pytest.mark.slow
def test_melu_holds_warm_ratings_out_and_trains_on_no_cold_one(movies):
    problem = melu(movies, **COMMON)
    train, held = rows(problem, role="train"), rows(problem, role="test", scenario="w_w")
    assert set(held.tolist()).isdisjoint(train.tolist())
    assert np.isin(movies.item[held], movies.item[train]).mean() > 0.98
    for scenario, users, items in (("c_w", False, True), ("w_c", True, False), ("c_c", False, False)):
        tested = rows(problem, role="test", scenario=scenario)
        # Warm users whom the filter keeps from meta-train, or who are meta-validation, are tested on too.
        assert np.isin(movies.user[tested], movies.user[train]).any() == users
        assert np.isin(movies.item[tested], movies.item[train]).any() == items
    assert len(problem.validation.label) == 275


@pytest.mark.real
@pytest.mark.slow
def test_metahin_has_its_ratings_and_its_tasks(movies):
    problem = metahin(movies, cold_users=0.2, cold_from_year=1998, **COMMON)
    counts = problem.split.counts
    assert [counts[f"{state}_rows"] for state in ("c_w", "w_c", "c_c")] == [153_744, 153_696, 42_363]
    assert [len(problem.names[state]) for state in ("c_w", "w_c", "c_c")] == [687, 2855, 731]
    assert counts["w_w_rows"] == pytest.approx(65_040, rel=0.01)  # a tenth, by another chance
    query, support = (problem.split.frame.filter(pl.col("part") == part) for part in ("query", "support"))
    last = query.filter(role="test", scenario="c_w").group_by("task").agg(pl.col("row").min())
    shown = support.filter(role="test", scenario="c_w").group_by("task").agg(pl.col("row").max())
    both = last.join(shown, on="task", suffix="_shown")
    assert (movies.time[both["row"]] >= movies.time[both["row_shown"]]).all()


def test_another_data_set_is_refused(data):
    with pytest.raises(UserError, match="has 0 of the 1208 cold ids"):
        melu(data, **COMMON)


def test_tanp_asks_all_that_is_not_shown(data):
    problem = tanp(
        data, seed=0, test=0.25, validation=0.2, episodes=TanpEpisodes(shots=(0, 5), min_history=9, max_history=15)
    )
    history = np.bincount(data.user)
    known = set(data.item[rows(problem, role="train")].tolist())
    frame = problem.split.frame.filter(role="test")
    for user in frame["task"].unique().to_list():
        mine = frame.filter(task=user)
        assert 9 <= history[user] <= 15
        of_known = [row for row in np.flatnonzero(data.user == user).tolist() if data.item[row] in known]
        assert sorted(mine["row"].to_list()) == of_known
        assert (mine["part"] == "support").sum() == 5
    mask = np.asarray(problem.test["user_cold"].task.query.mask)
    assert mask.sum() == (frame["part"] == "query").sum()
