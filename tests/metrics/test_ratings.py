"""Errors of predictions against scikit-learn and numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.metrics import log_loss, mean_absolute_error, root_mean_squared_error

from recmeta.metrics import metric, oracle, query_view

NAMES = ("mae", "mae_rounded", "rmse", "logloss", "bias")
LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)


@jax.jit
def measured(prediction, label, mask, low=1.0, high=5.0):
    view = query_view(prediction, prediction, label, mask, like=4, low=low, high=high, levels=LEVELS)
    return {name: metric(name).of(view) for name in NAMES}


def test_errors_against_scikit_learn_whatever_stands_in_missing_rows():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        for _ in range(20):
            label, prediction = rng.integers(1, 6, 9).astype(float), rng.uniform(1, 5, 9)
            mask = np.append(True, rng.random(8) < 0.6)
            there = label[mask], prediction[mask]
            label[~mask], prediction[~mask] = np.nan, np.inf
            found = measured(prediction, label, mask)
            assert found["mae"] == pytest.approx(mean_absolute_error(*there), abs=1e-9)
            rounded = np.round(there[1] + 1e-12)
            assert found["mae_rounded"] == pytest.approx(mean_absolute_error(there[0], rounded), abs=1e-9)
            assert found["rmse"] == pytest.approx(root_mean_squared_error(*there), abs=1e-9)
            assert found["bias"] == pytest.approx(abs(there[0].mean() - there[1].mean()), abs=1e-9)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_log_loss_of_binary_labels_against_scikit_learn(dtype):
    """Chances of 0 and 1 too: both keep away from them by the float's epsilon."""
    rng = np.random.default_rng(1)
    with jax.enable_x64(dtype is np.float64):
        for _ in range(20):
            label, chance = rng.integers(0, 2, 8).astype(dtype), rng.random(8).astype(dtype)
            chance[:2] = 0, 1
            found = measured(chance, label, np.ones(8, bool), 0.0, 1.0)["logloss"]
            expected = log_loss(label, chance, labels=[0, 1])
            assert found == pytest.approx(expected, rel=1e-9 if dtype is np.float64 else 1e-5)


def test_log_loss_of_ratings_is_of_their_shares_of_the_range():
    """Three stars of one to five are half; the least loss possible is the entropy of that, at the prediction 3."""
    label, mask = jnp.array([3.0, 3.0]), jnp.ones(2, bool)
    view = query_view(label, jnp.array([3.0, 2.0]), label, mask, like=4, low=1.0, high=5.0)
    expected = np.mean([-np.log(0.5), -0.5 * np.log(0.25) - 0.5 * np.log(0.75)])
    assert metric("logloss").of(view) == pytest.approx(expected, rel=1e-6)
    assert oracle(metric("logloss"), view) == pytest.approx(np.log(2), rel=1e-6)


def test_rounding_goes_to_labels_that_there_are_and_pays():
    """Half-star levels; and eight 4s among two 5s, for which 4.2 is expected and 4 is the median."""
    label, mask = jnp.array([2.5, 4.0]), jnp.ones(2, bool)
    view = query_view(label, jnp.array([2.7, 3.8]), label, mask, like=4, low=0.5, high=5.0, levels=(2.0, 2.5, 4.0))
    assert metric("mae_rounded").of(view) == 0
    label, mask = jnp.array([4.0] * 8 + [5.0] * 2), jnp.ones(10, bool)
    found = measured(jnp.full(10, 4.2), label, mask)
    assert (found["mae"], found["mae_rounded"]) == (pytest.approx(0.32), pytest.approx(0.2))


def test_bias_forgives_errors_that_cancel():
    found = measured(jnp.array([2.0, 4.0]), jnp.array([4.0, 2.0]), jnp.ones(2, bool))
    assert (found["bias"], found["mae"]) == (0, 2)


@pytest.mark.parametrize("name", NAMES)
def test_oracle_has_no_error(name):
    label = jnp.array([1.0, 5.0, 5.0])
    view = query_view(label, label[::-1], label, jnp.ones(3, bool), like=4, low=1.0, high=5.0, levels=LEVELS)
    assert oracle(metric(name), view) == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_no_rows_and_nan_predictions_are_nan(name):
    label = jnp.array([1.0, 5.0, 2.0])
    assert jnp.isnan(measured(label, label, jnp.zeros(3, bool))[name])
    assert jnp.isnan(measured(label.at[1].set(jnp.nan), label, jnp.ones(3, bool))[name])
