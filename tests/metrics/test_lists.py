"""Novelty, diversity and coverage against means over every order of what ties, and against plain loops."""

from itertools import combinations

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics.pairwise import cosine_distances

from recmeta.metrics import metric
from recmeta.metrics.lists import coverage, feature_vectors, top
from recmeta.protocols.candidates import self_information
from recmeta.types import Field

SCORES = [[3, 1, 1, 1, 0, 2], [0, 0, 0, 0, 0, 0], [5, 4, 3, 2, 1, 0], [1, 1, 1, 2, 2, 0]]
VECTORS = np.random.default_rng(0).normal(size=(6, 3)).astype(np.float32)
VECTORS[4] = 0
COUNTS = np.array([9, 0, 3, 1, 7, 2])


def lists(score, k, there=None):
    """Every set of the first k that the scores allow, each as likely as another."""
    score = np.array(score, float)
    rows = [row for row in range(len(score)) if there is None or there[row]]
    k = min(k, len(rows))
    last = sorted(score[rows])[-k] if k else np.inf
    sure, tied = [row for row in rows if score[row] > last], [row for row in rows if score[row] == last]
    return [[*sure, *some] for some in combinations(tied, k - len(sure))]


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("k", [1, 2, 3, 5])
def test_membership_is_its_chance(score, k):
    found = top(jnp.array(score, float), jnp.ones(6, bool), k).chance
    expected = np.mean([np.isin(np.arange(6), rows) for rows in lists(score, k)], axis=0)
    np.testing.assert_allclose(found, expected, rtol=1e-6)


def test_fewer_candidates_than_places():
    there = np.array([True, False, True, False, False, False])
    found = top(jnp.array([-np.inf, 7, 2, 3, 4, 5]), jnp.array(there), 4)
    np.testing.assert_array_equal(found.chance, there)
    assert metric("ild@4").of(found, VECTORS) == pytest.approx(cosine_distances(VECTORS[there])[0, 1], rel=1e-5)


@pytest.mark.parametrize("score", SCORES)
@pytest.mark.parametrize("k", [2, 3, 5])
def test_novelty_and_diversity_are_means_over_all_lists(score, k):
    there = np.arange(6) != 5
    information, distance = self_information(COUNTS, 10), cosine_distances(VECTORS)
    found = top(jnp.array(score, float), jnp.array(there), k)
    novelty = np.mean([information[rows].mean() for rows in lists(score, k, there)])
    assert metric(f"novelty@{k}").of(found, information) == pytest.approx(novelty, rel=1e-5)
    pairs = [np.mean([distance[pair] for pair in combinations(rows, 2)]) for rows in lists(score, k, there)]
    assert metric(f"ild@{k}").of(found, VECTORS) == pytest.approx(np.mean(pairs), rel=1e-5)


def test_information_of_unseen_items_is_finite():
    np.testing.assert_allclose(self_information([7, 3, 0], 7), [0, 1, 3])


@pytest.mark.parametrize("split", [[4], [1, 3], [1, 1, 1, 1]])
def test_coverage_is_the_share_of_items_shown_in_any_batches(split):
    """Item 5 is no candidate of anyone's; each task's ties break by themselves."""
    there = np.tile(np.arange(6) != 5, (4, 1))
    chosen = [lists(score, 2, there[0]) for score in SCORES]
    chances = np.array([np.mean([np.isin(np.arange(6), rows) for rows in each], axis=0) for each in chosen])
    expected = (1 - (1 - chances).prod(0))[:5].mean()
    covered = coverage(2)
    state = covered.start(6)
    for scores, masks in zip(
        *(np.split(part, np.cumsum(split)[:-1]) for part in (np.array(SCORES), there)), strict=True
    ):
        shown = jax.vmap(top, (0, 0, None))(jnp.array(scores, float), jnp.array(masks), 2)
        state = covered.add(state, shown, jnp.array(masks))
    assert covered.value(state) == pytest.approx(expected, rel=1e-6)


def test_coverage_of_no_task_is_undefined():
    covered = coverage(2)
    assert jnp.isnan(covered.value(covered.start(6)))


def test_order_of_items_does_not_matter():
    rng = np.random.default_rng(1)
    score, there, counts = rng.integers(0, 4, 40), rng.random(40) < 0.8, rng.integers(0, 9, 40)
    vectors = rng.normal(size=(40, 5)).astype(np.float32)

    def values(order):
        found = top(jnp.array(score[order], jnp.float32), jnp.array(there[order]), 7)
        information = self_information(counts[order], 10)
        return metric("novelty@7").of(found, information), metric("ild@7").of(found, vectors[order])

    np.testing.assert_allclose(values(rng.permutation(40)), values(np.arange(40)), rtol=1e-5)


def test_undefined_and_nan():
    nobody = top(jnp.arange(6.0), jnp.zeros(6, bool), 3)
    single = top(jnp.arange(6.0), jnp.arange(6) == 2, 3)
    broken = top(jnp.arange(6.0).at[0].set(jnp.nan), jnp.ones(6, bool), 3)
    for name, item in (("novelty@3", self_information(COUNTS, 10)), ("ild@3", VECTORS)):
        assert jnp.isnan(metric(name).of(nobody, item))
        assert jnp.isnan(metric(name).of(broken, item))
        assert jnp.isnan(metric(name).of(single, item)) == (name == "ild@3")


def test_vectors_have_a_place_for_each_value_of_categories():
    fields = (
        Field("id", "categorical", 4),
        Field("kind", "categorical", 3),
        Field("genre", "multi", 4),
        Field("year", "numeric", 2),
    )
    x = {
        "id": jnp.arange(3),
        "kind": jnp.array([1, 2, 0]),
        "genre": jnp.array([[1, 3], [3, 3], [0, 0]]),
        "year": jnp.ones((3, 2)),
    }
    found = feature_vectors(x, fields)
    assert found.tolist() == [[1, 0, 1, 0, 1], [0, 1, 0, 0, 1], [0, 0, 0, 0, 0]]
    assert feature_vectors(x, fields[:1]).shape == (3, 0)


def test_names():
    assert (metric("ild@10").cutoff, metric("ild@10").shows, metric("ild@10").goal) == (10, "vectors", "max")
    assert coverage(3).name == "coverage@3"
