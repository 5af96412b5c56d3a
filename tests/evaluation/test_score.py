"""Rankings among a catalogue, against a ranking written out."""

from functools import partial
from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.baselines import tuning
from recmeta.baselines.panel import BASELINES
from recmeta.evaluation import score as scoring
from recmeta.metrics import aggregate, check_cutoff, metric
from recmeta.types import Query, UserError

METRICS = [metric("recall@3"), metric("mrr"), metric("ndcg@5")]


@pytest.fixture(scope="module")
def problem(data, cut):
    return cut(data, candidates="full")


def score(task, query):
    """Two support sizes: by the item's code alone, and by the item's code and who asks."""
    codes = query.x["id"].astype(jnp.float32)
    return jnp.stack([-codes, jnp.sin(codes * (1 + task.support.y[0]))])


@pytest.fixture(scope="module")
def found(problem):
    batch, candidates = problem.test["user_cold"], problem.candidates["user_cold"]
    return scoring.rank(METRICS, problem.spec, score, batch, candidates, problem.train.entities)


def test_each_metric_is_that_of_the_whole_catalogue(problem, found):
    batch, candidates = problem.test["user_cold"], problem.candidates["user_cold"]
    task, label = batch.task, batch.label
    ids = np.asarray(problem.train.entities["id"])[np.asarray(candidates.entity)]
    for t in range(len(label)):
        allowed, position = np.asarray(candidates.allowed[t]), np.asarray(candidates.position[t])
        labels = np.zeros(len(ids), np.float32)
        labels[position] = label[t]
        for c, values in enumerate((-ids.astype(np.float32), np.sin(ids * (1 + float(task.support.y[t, 0]))))):
            for each in METRICS:
                expected = each.value(jnp.asarray(values), jnp.asarray(labels), jnp.asarray(allowed), like=4.0)
                np.testing.assert_allclose(found[each.name][c, t], expected, rtol=1e-5)


def test_what_is_shown_is_of_the_first_k_by_hand(problem):
    """By the item's code alone, so that no score ties but among unknown items; the first three may be anything."""
    batch, candidates = problem.test["user_cold"], problem.candidates["user_cold"]
    shown = [metric("novelty@3"), metric("ild@3")]
    entities = problem.train.entities
    found = scoring.rank(shown, problem.spec, score, batch, candidates, entities)
    order, genres = np.argsort(np.asarray(entities["id"]), kind="stable"), np.asarray(entities["genre"])
    counts = np.bincount(np.asarray(problem.train.row), minlength=len(genres))
    for t in range(len(batch.label)):
        first = [item for item in order if candidates.allowed[t, item]][:3]
        information = -np.log2((counts[first] + 1) / (len(problem.train.entity) + 1))
        np.testing.assert_allclose(found["novelty@3"][0, t], information.mean(), rtol=1e-5)
        sets = [set(genres[item]) - {0} for item in first]
        cosines = [len(a & b) / np.sqrt(len(a) * len(b)) if a and b else 0 for a, b in combinations(sets, 2)]
        np.testing.assert_allclose(found["ild@3"][0, t], 1 - np.mean(cosines), rtol=1e-5)


def test_coverage_is_of_the_first_k_of_every_task_once(problem, monkeypatch):
    """Blocks that are filled up with tasks that were there before change nothing, and nor do ties that all lose."""
    batch, candidates = problem.test["user_cold"], problem.candidates["user_cold"]
    entities = problem.train.entities
    code, allowed = np.asarray(entities["id"]), np.asarray(candidates.allowed)
    assert len(set(code)) == len(code)

    def own(task, query):
        """An order of its own for every task, by the item's code."""
        return jnp.sin(query.x["id"] * (1 + task.support.y.sum()))

    scores = jax.vmap(own, (0, None))(batch.task, Query(entities, None))
    lists = [
        sorted(np.flatnonzero(there), key=score.__getitem__)[-2:]
        for there, score in zip(allowed, np.asarray(scores), strict=True)
    ]
    wanted = len({item for shown in lists for item in shown}) / allowed.any(0).sum()
    for rows in (1 << 15, 3 * len(code)):
        monkeypatch.setattr(scoring, "ROWS_AT_ONCE", rows)
        found = scoring.fold([aggregate("coverage@2")], own, batch, candidates, entities)
        assert found["coverage@2"] == pytest.approx(wanted, rel=1e-5)
    assert len(allowed) % 3


def test_few_rows_at_once_are_the_same(problem, found, monkeypatch):
    monkeypatch.setattr(scoring, "ROWS_AT_ONCE", 1)
    again = scoring.rank(
        METRICS, problem.spec, score, problem.test["user_cold"], problem.candidates["user_cold"], problem.train.entities
    )
    for name, values in found.items():
        np.testing.assert_allclose(again[name], values, rtol=1e-6)


def test_the_floor_is_what_a_constant_scores(problem):
    batch, candidates = problem.test["user_cold"], problem.candidates["user_cold"]
    constant = lambda task, query: jnp.zeros((1, *query.mask.shape))  # noqa: E731
    ranked = scoring.rank(METRICS, problem.spec, constant, batch, candidates, problem.train.entities)
    bounds = scoring.bounds(METRICS, problem.spec, batch, candidates)
    for each in METRICS:
        np.testing.assert_allclose(bounds[each.name].floor, ranked[each.name][0], rtol=1e-5)
        assert (np.asarray(bounds[each.name].floor) < np.asarray(bounds[each.name].oracle)).any()


def test_means_of_bounds_leave_out_where_a_metric_is_undefined(problem):
    means = scoring.mean_bounds([metric("mae"), metric("auc")], problem)["user_cold"]
    assert means["mae"] == {"floor": None, "oracle": 0.0}
    assert (means["auc"]["floor"], means["auc"]["oracle"]) == (pytest.approx(0.5), pytest.approx(1.0))


def test_a_saturated_floor_is_refused(problem):
    with pytest.raises(UserError, match="cuts nothing off"):
        check_cutoff(metric("recall@30"), np.array([30]))


def test_scores_of_a_catalogue_replace_those_of_the_query(data, cut):
    """A popularity that ranks the whole catalogue stands in the table; errors are of the query as before."""
    tables = []
    for kind in ("query", "full"):
        problem = cut(data, candidates=kind)
        metrics = [metric("mae"), metric("recall@3")]
        tuned = tuning.tune_baselines({"item_mean": BASELINES["item_mean"]}, problem, metrics, metrics[0])
        scored = scoring.make_scored(metrics, problem.spec)
        evaluate = partial(tuning.evaluate_baselines, tuned, problem)
        tables.append(evaluate(jax.random.key(0), metrics, scored))
    of_query, of_all = tables
    np.testing.assert_array_equal(of_query["mae"], of_all["mae"])
    assert np.nanmean(of_query["recall@3"]) > np.nanmean(of_all["recall@3"])
