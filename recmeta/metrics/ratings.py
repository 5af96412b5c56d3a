"""Error metrics of predicted labels: functions of one `View`, NaN where it has no rows."""

from __future__ import annotations

import jax.numpy as jnp
from jax.scipy.special import xlogy
from jaxtyping import Array, Float

from recmeta.metrics.view import View


def mae(view: View) -> Float[Array, ""]:
    """Mean absolute error of the predicted median, in label units."""
    median = view.prediction if view.median is None else view.median
    return _mean(view, jnp.abs(median - view.label))


def mae_rounded(view: View) -> Float[Array, ""]:
    """Mean absolute error, in label units, of the expected label rounded to the nearest label in use.

    A median minimises absolute error, and the median of whole stars is a whole star: an expected label, however good,
    pays for lying between two of them. Rounding removes that cost, but not the gain of a median elsewhere on skewed
    labels.
    """
    levels = jnp.asarray(view.levels, view.prediction.dtype)
    nearest = levels[jnp.argmin(jnp.abs(view.prediction[:, None] - levels), axis=1)]
    # A NaN has no nearest level.
    return _mean(view, jnp.where(jnp.isnan(view.prediction), jnp.nan, jnp.abs(nearest - view.label)))


def rmse(view: View) -> Float[Array, ""]:
    """Root of the mean squared error, in label units. Its mean over tasks is not the RMSE over all rows."""
    return jnp.sqrt(_mean(view, (view.prediction - view.label) ** 2))


def logloss(view: View) -> Float[Array, ""]:
    """Mean cross-entropy in nats between labels and predictions, both as shares of the label range.

    Labels of 0 and 1 in the range [0, 1] give the usual binary one. Labels in between are soft: the least loss
    possible, which `oracle` gives, is then their own entropy. A prediction counts as at least the float's epsilon away
    from either end, so that one mistake does not cost infinity.
    """
    span = view.high - view.low
    share = (view.label - view.low) / span
    epsilon = jnp.finfo(view.prediction.dtype).eps
    chance = jnp.clip((view.prediction - view.low) / span, epsilon, 1 - epsilon)
    return -_mean(view, xlogy(share, chance) + xlogy(1 - share, 1 - chance))


def nll(view: View) -> Float[Array, ""]:
    """Mean negative log-likelihood of the label's level, in nats, of a method that predicts a distribution.

    NaN of one that predicts a number.
    """
    if view.log_shares is None:
        return jnp.array(jnp.nan)
    levels = jnp.asarray(view.levels, view.label.dtype)
    own = jnp.abs(view.label[:, None] - levels).argmin(axis=1)
    return -_mean(view, jnp.take_along_axis(view.log_shares, own[:, None], axis=1)[:, 0])


def bias(view: View) -> Float[Array, ""]:
    """Distance between the mean prediction and the mean label, in label units: calibration in the large.

    A task has too few rows for calibration error in bins, whose value at ten rows is mostly noise.
    """
    return jnp.abs(_mean(view, view.prediction - view.label))


def _mean(view: View, values: Float[Array, "q"]) -> Float[Array, ""]:
    """The mean over the rows present, whatever the values in the others."""
    count = view.mask.sum()
    return jnp.where(count > 0, jnp.where(view.mask, values, 0).sum() / jnp.maximum(count, 1), jnp.nan)
