"""Objectives against numpy, and their units there and back."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.objectives import bce, mae, masked_mean, mse

SCORE = np.array([-1.5, 0.3, 2.0, 1e3])
LABEL = np.array([0.0, 1.0, 0.0, -1e3])
MASK = np.array([True, True, True, False])


def test_mse_by_hand():
    expected = np.mean((SCORE[:3] - LABEL[:3]) ** 2)
    np.testing.assert_allclose(mse().loss(SCORE, LABEL, MASK), expected, rtol=1e-6)


def test_mae_by_hand_and_its_minimum_is_the_median():
    expected = np.mean(np.abs(SCORE[:3] - LABEL[:3]))
    np.testing.assert_allclose(mae().loss(SCORE, LABEL, MASK), expected, rtol=1e-6)
    labels, there = jnp.array([1.0, 4.0, 5.0]), jnp.ones(3, bool)
    values = [mae().loss(jnp.full(3, score), labels, there) for score in (3.9, 4.0, 4.1)]
    assert values[1] < min(values[0], values[2])


def test_bce_by_hand():
    chance = 1 / (1 + np.exp(-SCORE[:3]))
    expected = -np.mean(LABEL[:3] * np.log(chance) + (1 - LABEL[:3]) * np.log(1 - chance))
    np.testing.assert_allclose(bce().loss(jnp.array(SCORE), jnp.array(LABEL), MASK), expected, rtol=1e-6)


@pytest.mark.parametrize("make", [mse, mae, bce])
def test_no_rows_no_loss_and_no_gradient(make):
    value, slope = jax.value_and_grad(lambda s: make().loss(s, jnp.array(LABEL), jnp.zeros(4, bool)))(jnp.array(SCORE))
    assert value == 0
    np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize(("make", "labels"), [(mse, [1.0, 3.5, 5.0]), (mae, [1.0, 3.5, 5.0]), (bce, [0.01, 0.5, 0.99])])
def test_link_is_the_inverse_of_predict(make, labels):
    objective = make()
    np.testing.assert_allclose(objective.predict(objective.link(jnp.array(labels))), labels, rtol=1e-5)


def test_log_odds_stay_finite():
    score = bce().link(jnp.array([-3.0, 0.0, 1.0, 7.0]))
    np.testing.assert_allclose(score, np.log(1e-4 / (1 - 1e-4)) * np.array([1, 1, -1, -1]), rtol=1e-3)
    assert (mse().binary, bce().binary) == (False, True)


def test_masked_mean_ignores_what_is_not_there():
    assert masked_mean(jnp.array([1.0, jnp.nan, 3.0]), jnp.array([True, False, True])) == 2


@pytest.mark.parametrize("make", [mse, mae, bce])
def test_weights_count_a_row_as_often_as_they_say(make):
    score, label = jnp.array([0.2, -0.7, 1.5, 9.0]), jnp.array([0.0, 1.0, 1.0, 0.0])
    loss = lambda rows, weights=None: make().loss(score[rows], label[rows], jnp.array(MASK)[rows], weights)  # noqa: E731
    weighted = loss(jnp.arange(4), jnp.array([3.0, 1.0, 2.0, 7.0]))
    np.testing.assert_allclose(weighted, loss(jnp.array([0, 0, 0, 1, 2, 2, 3])), rtol=1e-6)
    np.testing.assert_allclose(loss(jnp.arange(4), jnp.ones(4)), loss(jnp.arange(4)), rtol=1e-6)
    assert loss(jnp.arange(4), jnp.zeros(4)) == 0
