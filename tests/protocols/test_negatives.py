"""Negatives against numpy: what they are drawn from, how often, with what probability, and what is left out."""

from dataclasses import replace

import jax
import numpy as np
import pytest
from scipy.stats import chi2

from recmeta.protocols.episodes import NegativeSampling
from recmeta.types import UserError

TASKS, NUMBER = 400, 50
SETTINGS = [NegativeSampling(NUMBER, by, 0.5, among) for by in ("uniform", "popularity") for among in ("all", "then")]


@pytest.fixture(scope="module", params=SETTINGS, ids=lambda one: f"{one.by}-{one.among}")
def drawn(request, data, cut):
    """One visit of many tasks, in numpy: the problem, its settings, what was drawn, and the rows drawn beside it."""
    problem = cut(data, negatives=request.param)
    draw = jax.jit(problem.draw, static_argnums=2)(jax.random.key(5), problem.train, TASKS)
    return problem, request.param, draw, jax.device_get(problem.gather(problem.train, draw))


def meta_train(problem, data):
    """The meta-train rows of the data."""
    return problem.split.frame.filter(role="train")["row"].to_numpy()


def first_query_time(problem, data, draw):
    """The time of each task's first query row, by the data."""
    draw, tasks = jax.device_get((draw, problem.train))
    index = (tasks.start[draw.task][:, None] + draw.position)[:, 5:]
    return np.where(draw.there[:, 5:], tasks.time[index] + data.time.min(), np.inf).min(axis=1)


def probabilities(problem, settings, data, draw):
    """``[T, I]``: the probability of each item, straight from the definition."""
    rows = meta_train(problem, data)
    count = np.bincount(data.item[rows], minlength=len(data.items.ids))
    weight = np.where(count > 0, 1.0 if settings.by == "uniform" else count**settings.power, 0.0)
    weight = np.broadcast_to(weight, (TASKS, len(weight)))
    if settings.among == "then":
        first = np.full(len(data.items.ids), np.inf)
        np.minimum.at(first, data.item[rows], data.time[rows])
        weight = weight * (first <= first_query_time(problem, data, draw)[:, None])
    return weight / weight.sum(axis=1, keepdims=True)


def test_log_q_is_the_probability(data, drawn):
    problem, settings, draw, batch = drawn
    q = probabilities(problem, settings, data, draw)
    wanted = np.log(np.take_along_axis(q, batch.negatives.entity, 1))
    np.testing.assert_allclose(batch.negatives.log_q, wanted, rtol=1e-5, atol=1e-5)


def test_items_are_drawn_as_often_as_q_says(data, drawn):
    """20,000 draws by a chi-square test, that of tasks with pools of their own by the sum of what is expected."""
    problem, settings, draw, batch = drawn
    expected = NUMBER * probabilities(problem, settings, data, draw).sum(axis=0)
    found = np.bincount(batch.negatives.entity.ravel(), minlength=len(expected))
    assert not found[expected == 0].any()
    there = expected > 0
    statistic = ((found - expected)[there] ** 2 / expected[there]).sum()
    assert statistic < chi2.ppf(0.999, there.sum() - 1)


def test_the_mask_leaves_out_what_the_task_has_and_nothing_else(data, drawn):
    """All its meta-train rows, drawn at this visit or not: an accidental hit is no negative."""
    problem, _, draw, batch = drawn
    rows = meta_train(problem, data)
    has = np.zeros((len(data.users.ids), len(data.items.ids)), bool)
    has[data.user[rows], data.item[rows]] = True
    user = np.asarray(problem.train.entity)[np.asarray(draw.task)]
    np.testing.assert_array_equal(batch.negatives.mask, ~has[user[:, None], batch.negatives.entity])
    assert 0.2 < batch.negatives.mask.mean() < 0.9


def test_features_are_the_drawn_items(drawn):
    problem, _, _, batch = drawn
    for name, values in batch.negatives.x.items():
        np.testing.assert_array_equal(values, np.asarray(problem.train.entities[name])[batch.negatives.entity])


def test_an_item_that_meta_train_has_no_row_of_is_never_drawn(data, drawn):
    problem, _, _, batch = drawn
    known = set(data.item[meta_train(problem, data)].tolist())
    assert set(batch.negatives.entity.ravel().tolist()) <= known


def test_one_key_one_draw_and_tasks_and_rows_are_those_without_negatives(data, cut, drawn):
    problem, _, draw, batch = drawn
    again = problem.gather(problem.train, problem.draw(jax.random.key(5), problem.train, TASKS))
    np.testing.assert_array_equal(again.negatives.entity, batch.negatives.entity)
    other = problem.draw(jax.random.key(6), problem.train, TASKS)
    assert (np.asarray(other.negatives[0]) != np.asarray(draw.negatives[0])).any()
    plain = cut(data)
    without = plain.draw(jax.random.key(5), plain.train, TASKS)
    assert without.negatives is None
    assert plain.train.catalogue is None
    for name in ("task", "position", "there"):
        np.testing.assert_array_equal(getattr(without, name), getattr(draw, name))
    assert problem.split.sha256 == plain.split.sha256  # of the test nothing has changed


def test_fixed_tasks_have_none(drawn):
    problem = drawn[0]
    assert problem.validation.negatives is None
    assert all(batch.negatives is None for batch in problem.test.values())


def test_where_nothing_is_there_yet_nothing_counts(data, cut):
    """The first query row of all, before any other: its own item is all there is, and is its own."""
    problem = cut(data, negatives=NegativeSampling(4, among="then"), order="time")
    tasks = problem.train
    since = tasks.catalogue.since + 10_000  # as if everything had appeared later
    tasks = tasks._replace(catalogue=tasks.catalogue._replace(since=since))
    batch = problem.gather(tasks, problem.draw(jax.random.key(0), tasks, 8))
    assert not batch.negatives.mask.any()
    assert np.isfinite(batch.negatives.log_q).all()


def test_then_needs_times(data, cut):
    with pytest.raises(UserError, match=r"negatives\.among=then: small has no time column; use .*among=all"):
        cut(replace(data, time=None), negatives=NegativeSampling(4, among="then"))
    cut(replace(data, time=None), negatives=NegativeSampling(4))
