"""Metrics against brute force, scikit-learn and invariances."""

from itertools import pairwise, permutations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import ndcg_score, roc_auc_score

from recmeta.metrics import metric, oracle, random_floor
from recmeta.types import UserError

NAMES = ("mae", "rmse", "ndcg@3", "ndcg@20", "recall@3", "mrr", "auc")
RANKING = tuple(name for name in NAMES if metric(name).reads == "score")
LIKE = 4.0
COMPILED = {name: jax.jit(metric(name).value) for name in NAMES}


def value(name, score, label, mask=None, width=10):
    """The metric, padded with what must not matter to one width, so that it is compiled once."""
    padded = np.full((2, width), np.nan, np.float32)
    padded[0, : len(score)], padded[1, : len(label)] = score, label
    there = np.arange(width) < len(score)
    if mask is not None:
        there[: len(score)] &= mask
    return np.asarray(COMPILED[name](padded[0], padded[1], there, np.float32(LIKE)))


def ratings(rng, n, levels=5):
    return rng.integers(1, levels + 1, n).astype(np.float32)


def strict(name, order, label):
    """The metric of one strict order of the rows, best first: written out, without ties."""
    label = np.asarray(label, float)[list(order)]
    kind, _, k = name.partition("@")
    liked = label >= LIKE
    if kind == "ndcg":
        discount = 1 / np.log2(np.arange(len(label)) + 2) * (np.arange(len(label)) < int(k))
        return ((2**label - 1) * discount).sum() / ((2 ** np.sort(label)[::-1] - 1) * discount).sum()
    if kind == "recall":
        return liked[: int(k)].sum() / liked.sum()
    if kind == "mrr":
        return 1 / (1 + np.flatnonzero(liked)[0])
    return np.mean([i < j for i in np.flatnonzero(liked) for j in np.flatnonzero(~liked)])


@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize("score", [[0, 0, 0, 0, 0], [1, 0, 1, 0, 1], [2, 2, 3, 1, 2], [5, 4, 3, 2, 1]])
def test_ties_are_the_mean_over_all_orders(name, score):
    label = [3, 5, 1, 4, 2]
    orders = [order for order in permutations(range(5)) if all(score[a] >= score[b] for a, b in pairwise(order))]
    expected = np.mean([strict(name, order, label) for order in orders])
    assert value(name, score, label) == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", RANKING)
@pytest.mark.parametrize("label", [[4, 1], [2, 5, 3], [5, 4, 1, 1], [1, 1, 2, 5, 4, 4]])
def test_constant_scorer_is_the_random_floor(name, label):
    expected = np.mean([strict(name, order, label) for order in permutations(range(len(label)))])
    assert value(name, np.zeros(len(label)), label) == pytest.approx(expected, abs=1e-6)
    assert value(name, np.full(len(label), -7.5), label) == value(name, np.zeros(len(label)), label)


@pytest.mark.parametrize("n", [2, 7, 10])
def test_against_scikit_learn_with_ties(n):
    rng = np.random.default_rng(n)
    with jax.enable_x64(True):
        auc, ndcg = jax.jit(metric("auc").value), jax.jit(metric("ndcg@3").value)
        for _ in range(40):
            label = rng.integers(1, 6, n).astype(float)
            score = rng.integers(0, 4, n).astype(float)
            arguments = jnp.array(score), jnp.array(label), jnp.ones(n, bool), LIKE
            expected = ndcg_score([2**label - 1], [score], k=3, ignore_ties=False)
            assert ndcg(*arguments) == pytest.approx(expected, abs=1e-9)
            if 0 < (label >= LIKE).sum() < n:
                assert auc(*arguments) == pytest.approx(roc_auc_score(label >= LIKE, score), abs=1e-9)
            else:
                assert jnp.isnan(auc(*arguments))


def test_errors_against_numpy():
    rng = np.random.default_rng(0)
    label, prediction = ratings(rng, 9), rng.uniform(1, 5, 9).astype(np.float32)
    mask = rng.random(9) < 0.6
    error = (prediction - label)[mask].astype(float)
    assert value("mae", prediction, label, mask) == pytest.approx(np.abs(error).mean(), rel=1e-6)
    assert value("rmse", prediction, label, mask) == pytest.approx(np.sqrt((error**2).mean()), rel=1e-6)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tied", [False, True])
def test_order_and_padding_do_not_matter(name, tied):
    rng = np.random.default_rng(3)
    for n in (3, 10):
        label = (ratings(rng, n) + 0.3 * rng.random(n)).astype(np.float32)
        label[:2] = 5.0, 1.0
        score = ratings(rng, n, 3) if tied else rng.normal(size=n).astype(np.float32)
        expected = np.asarray(COMPILED[name](score, label, np.ones(n, bool), np.float32(LIKE)))
        assert np.isfinite(expected)
        for width in (n, n + 1, 17):
            order = rng.permutation(width)
            padded_score, padded_label = (rng.normal(4, 3, width).astype(np.float32) for _ in range(2))
            padded_score[-1] = padded_label[-1] = np.nan
            padded_score[:n], padded_label[:n] = score, label
            got = COMPILED[name](
                padded_score[order], padded_label[order], (np.arange(width) < n)[order], np.float32(LIKE)
            )
            np.testing.assert_allclose(got, expected, rtol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_vmap_is_one_task_at_a_time(name):
    rng = np.random.default_rng(4)
    label, score, mask = ratings(rng, (6, 10)), rng.normal(size=(6, 10)).astype(np.float32), rng.random((6, 10)) < 0.7
    batch = jax.jit(jax.vmap(metric(name).value, (0, 0, 0, None)))(score, label, mask, LIKE)
    np.testing.assert_allclose(batch, [value(name, score[t], label[t], mask[t]) for t in range(6)], rtol=1e-6)


@pytest.mark.parametrize(
    ("name", "label", "defined"),
    [
        ("auc", [1, 2, 3], False),
        ("auc", [4, 5, 4], False),
        ("mrr", [1, 2, 3], False),
        ("mrr", [4, 5, 4], True),
        ("recall@3", [1, 2, 3], False),
        ("recall@3", [4, 5, 4], True),
        ("ndcg@3", [0, 0, 0], False),
        ("ndcg@3", [1, 1, 1], True),
    ],
)
def test_undefined_is_nan(name, label, defined):
    assert np.isfinite(value(name, [0, 1, 2], label)) == defined


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_is_undefined(name):
    assert np.isnan(value(name, [1, 2, 3], [5, 1, 2], mask=[False] * 3))


@pytest.mark.parametrize("name", NAMES)
def test_a_nan_score_shows(name):
    assert np.isnan(value(name, [1, np.nan, 2], [5, 1, 2]))


@pytest.mark.parametrize("name", RANKING)
def test_minus_infinity_ranks_last(name):
    label = [5, 1, 4, 2]
    assert value(name, [0, 1, -np.inf, -np.inf], label) == value(name, [0, 1, -9, -9], label)


def test_oracle_and_binary_labels():
    label, mask = jnp.array([0.0, 1.0, 0.0, 1.0]), jnp.ones(4, bool)
    for name, best in (("mae", 0), ("ndcg@3", 1), ("auc", 1)):
        assert oracle(metric(name), label, mask, 1.0) == best
    assert oracle(metric("recall@1"), label, mask, 1.0) == 0.5
    assert random_floor(metric("auc"), label, mask, 1.0) == 0.5


def test_names():
    assert metric("ndcg@5") is metric("ndcg@5")
    assert (metric("rmse").goal, metric("recall@10").goal) == ("min", "max")
    for name in ("ndcg", "ndcg@0", "ndcg@-1", "ndcg@five", "mae@5", "precision@5", "", "auc@", "recall@05"):
        with pytest.raises(UserError, match="ndcg@k"):
            metric(name)
    with pytest.raises(ValueError, match="predictions"):
        random_floor(metric("mae"), jnp.ones(2), jnp.ones(2, bool), LIKE)
