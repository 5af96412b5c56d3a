"""The published mistakes: what each function is known to have given, and plain loops."""

from math import log2

import jax
import numpy as np
import pytest

from recmeta.metrics import metric, query_view

STARS = np.array([0.056, 0.107, 0.261, 0.349, 0.227])
"""How often each of one to five stars is given in MovieLens-1M."""


def published(name, prediction, label):
    """Over tasks ``[T, n]``."""

    def one(prediction, label):
        view = query_view(prediction, prediction, label, np.ones(label.shape, bool), like=4, low=1, high=5)
        return metric(name).of(view)

    return np.asarray(jax.jit(jax.vmap(one))(prediction.astype(np.float32), label.astype(np.float32)))


@pytest.fixture(scope="module")
def label():
    """Ten rows of each of 4,000 users, as MovieLens-1M rates."""
    return np.random.default_rng(0).choice(np.arange(1.0, 6), (4000, 10), p=STARS)


@pytest.mark.parametrize(
    ("prediction", "expected"),
    [
        (lambda label: np.full_like(label, 5), 1.11),
        (lambda label: np.full_like(label, 100), 22.3),
        (lambda label: label, 0.97),
        (lambda label: 0.1 * label, 0.097),
    ],
)
def test_metahin_measures_the_level_of_predictions(label, prediction, expected):
    found = published("legacy.metahin_ndcg@5", prediction(label), label).mean()
    assert found == pytest.approx(expected, rel=0.01)


def test_metahin_is_no_ranking(label):
    """Worst and best order of the same rows: the worse is the higher, if its predictions are."""
    worst = published("legacy.metahin_ndcg@5", 6 - label + 5, label).mean()
    assert worst > 1
    assert published("ndcg@5", 6 - label + 5, label).mean() < 0.5


def discounted(gains):
    return sum(gain / log2(place + 2) for place, gain in enumerate(gains))


def test_metahin_against_a_loop(label):
    rng = np.random.default_rng(1)
    label, prediction = label[:50], rng.normal(3, 2, (50, 10))
    expected = []
    for y, p in zip(label, prediction, strict=True):
        rows = sorted(sorted(range(10), key=lambda row: (y[row], row))[-5:])
        expected.append(discounted(p[rows]) / discounted(sorted(y[rows], reverse=True)))
    np.testing.assert_allclose(published("legacy.metahin_ndcg@5", prediction, label), expected, rtol=1e-4)


def test_mamo_against_a_loop(label):
    rng = np.random.default_rng(2)
    label, prediction = label[:50], rng.integers(1, 6, (50, 10)).astype(float)
    expected = []
    for y, p in zip(label, prediction, strict=True):
        rows = sorted(range(10), key=lambda row: -p[row])[:3]
        best = sorted(y, reverse=True)[:3]
        expected.append(discounted(2.0 ** np.sort(y[rows])[::-1] - 1) / discounted(2.0 ** np.array(best) - 1))
    np.testing.assert_allclose(published("legacy.mamo_ndcg@3", prediction, label), expected, rtol=1e-5)


def test_mamo_does_not_see_the_order_within_the_first_k(label):
    """What is retrieved in the worst order scores 1, and so does anything where k is all there is."""
    retrieved = np.array([[1.0, 3.0, 5.0, 1.0]])
    assert published("legacy.mamo_ndcg@3", np.array([[9.0, 8.0, 7.0, 1.0]]), retrieved) == 1
    assert published("ndcg@3", np.array([[9.0, 8.0, 7.0, 1.0]]), retrieved) < 0.8
    np.testing.assert_allclose(published("legacy.mamo_ndcg@10", -label, label), 1, rtol=1e-6)


def test_mamo_is_never_below_ndcg(label):
    prediction = np.random.default_rng(3).normal(size=label.shape)
    assert (published("legacy.mamo_ndcg@3", prediction, label) >= published("ndcg@3", prediction, label) - 1e-6).all()


@pytest.mark.parametrize("name", ["legacy.metahin_ndcg@5", "legacy.mamo_ndcg@3"])
def test_padding_does_not_matter_and_nan_shows(name, label):
    label, prediction = label[0], np.random.default_rng(4).normal(3, 1, 10)
    whole = published(name, prediction[None], label[None])[0]
    padding = np.full(5, np.nan)

    def padded(prediction, mask):
        label_ = np.append(label, padding)
        view = query_view(np.append(prediction, padding), np.append(prediction, padding), label_, mask, like=4)
        return metric(name).of(jax.tree.map(np.asarray, view))

    assert padded(prediction, np.arange(15) < 10) == pytest.approx(whole, rel=1e-5)
    assert np.isnan(padded(prediction, np.zeros(15, bool)))
    assert np.isnan(padded(np.append(prediction[:9], np.nan), np.arange(15) < 10))
