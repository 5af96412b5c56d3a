"""Draws are uniform, distinct, and fresh."""

from itertools import permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2

from recmeta.protocols.sampling import anywhere, distinct, stretch


def goodness(counts):
    expected = counts.sum() / len(counts)
    return ((counts - expected) ** 2 / expected).sum()


def test_distinct_draws_every_ordered_triple_equally_often(key):
    draws = np.asarray(jax.vmap(lambda key: distinct(key, jnp.int32(6), 3))(jax.random.split(key, 24_000)))
    triples = list(permutations(range(6), 3))
    seen, counts = np.unique(draws, axis=0, return_counts=True)
    assert [tuple(row) for row in seen] == triples
    assert goodness(counts) < chi2.isf(1e-4, len(triples) - 1)


def test_distinct_can_draw_all_there_is(key):
    draws = np.asarray(jax.vmap(lambda key: distinct(key, jnp.int32(4), 4))(jax.random.split(key, 2400)))
    np.testing.assert_array_equal(np.sort(draws, axis=1), np.tile(np.arange(4), (2400, 1)))
    _, counts = np.unique(draws, axis=0, return_counts=True)
    assert len(counts) == 24
    assert goodness(counts) < chi2.isf(1e-4, 23)


def test_a_stretch_is_consecutive_and_its_start_uniform(key):
    keys = jax.random.split(key, 4000)
    position, there = jax.vmap(lambda key: stretch(key, jnp.int32(7), 3, 1, 1))(keys)
    np.testing.assert_array_equal(np.diff(position, axis=1), 1)
    assert bool(there.all())
    counts = np.bincount(position[:, 0])
    assert len(counts) == 4
    assert goodness(counts) < chi2.isf(1e-4, 3)


@pytest.mark.parametrize("draw", [anywhere, stretch])
@pytest.mark.parametrize(
    ("size", "support", "query"),
    [(12, 4, 6), (9, 4, 5), (7, 4, 3), (5, 2, 3), (3, 0, 3), (2, 0, 2)],  # of at most 4 and 6, and first 3 to ask for
)
def test_of_a_short_history_the_query_is_cut_and_then_the_support(key, draw, size, support, query):
    position, there = draw(key, jnp.int32(size), 4, 6, 3)
    assert there.tolist() == [place < support for place in range(4)] + [place < query for place in range(6)]
    taken = position[there].tolist()
    assert len(set(taken)) == support + query
    assert set(taken) <= set(range(size))
    if draw is stretch:
        assert np.diff(taken).tolist() == [1] * (support + query - 1)


def test_draws_are_uniform_over_tasks_and_shots_and_differ_between_keys(problem):
    draw = jax.jit(lambda key: problem.draw(key, problem.train, 6000))
    one, again, other = (draw(jax.random.key(seed)) for seed in (0, 0, 1))
    for a, b, c in zip(one[:3], again[:3], other[:3], strict=True):
        np.testing.assert_array_equal(a, b)
        assert (np.asarray(a) != np.asarray(c)).mean() > 0.1
    tasks = np.bincount(one.task, minlength=24)
    assert len(tasks) == 24
    assert goodness(tasks) < chi2.isf(1e-4, 23)
    assert bool(one.there[:, 5:].all())
    shots, counts = np.unique(one.there[:, :5].sum(1), return_counts=True)
    np.testing.assert_array_equal(shots, [1, 3, 5])  # shots above 0
    assert goodness(counts) < chi2.isf(1e-4, 2)
    size = np.asarray(problem.train.size)[one.task]
    position = np.sort(one.position, axis=1)
    assert (position[:, 0] >= 0).all()
    assert (position[:, -1] < size).all()
    assert (np.diff(position, axis=1) > 0).all()


def test_gather_fetches_what_stands_at_the_drawn_rows(problem):
    drawn = problem.draw(jax.random.key(3), problem.train, 16)
    batch = problem.gather(problem.train, drawn)
    train = jax.tree.map(np.asarray, problem.train)
    index = train.start[drawn.task][:, None] + np.asarray(drawn.position)
    support, query = index[:, :5], index[:, 5:]
    np.testing.assert_array_equal(batch.label, train.label[query])
    np.testing.assert_array_equal(batch.task.support.y, train.label[support])
    np.testing.assert_array_equal(batch.task.support.mask, drawn.there[:, :5])
    assert bool((np.diff(batch.task.support.mask.astype(int), axis=1) <= 0).all())  # the first ones
    assert bool(batch.task.query.mask.all())
    for name, values in train.entities.items():
        np.testing.assert_array_equal(batch.task.support.x[name], values[train.row[support]])
        np.testing.assert_array_equal(batch.task.query.x[name], values[train.row[query]])
    for name, values in train.contexts.items():
        np.testing.assert_array_equal(batch.task.context[name], values[train.entity[drawn.task]])
