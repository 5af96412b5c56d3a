"""Calibrate predictions on meta-validation: monotone maps to the label's best median and mean, at each support size.

A table must not be won by predicting another value of the same distribution: absolute error is least at a median,
squared error at a mean. So the map from what a method predicts to either is fitted, for learners and baselines alike.
Ranking metrics read the score, which no map touches.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float
from scipy.optimize import minimize_scalar, nnls

from recmeta.evaluation.score import Predictions
from recmeta.objectives.levels import exceedance
from recmeta.types import Batch, DataSpec

ROWS_PER_SEGMENT = 500
"""Validation rows for each straight segment of a map: with few rows, a line."""

MOST_SEGMENTS = 8
"""Most segments of a map."""

REWEIGHTINGS = 30
"""Steps of reweighted least squares towards least absolute error."""


class Curve(NamedTuple):
    """A monotone function per support size: straight between its knots, flat beyond them.

    Attributes:
        at: the knots, ascending, in label units.
        to: their values, not falling, within the label range.
    """

    at: Float[Array | np.ndarray, "*R C m"]
    to: Float[Array | np.ndarray, "*R C m"]


class Thresholds(NamedTuple):
    """The probability of a label above each level from which, per support size, the median is above it.

    Attributes:
        levels: ascending.
        above: of each level but the last; at a half, the median of what is predicted.
    """

    levels: Float[Array | np.ndarray, "*R C L"]
    above: Float[Array | np.ndarray, "*R C L-1"]


class Calibration(NamedTuple):
    """Maps from a predicted label to the labels' mean, and to their median, given that prediction.

    Of a method that predicts a distribution of few levels, the median is read from that, by ``thresholds``; and its
    log-likelihood of the distribution to the power of ``sharpness``, one number per support size.
    """

    mean: Curve
    median: Curve
    thresholds: Thresholds | None = None
    sharpness: Float[Array | np.ndarray, "*R C"] | None = None


def calibrate(predictions: Predictions, batch: Batch, spec: DataSpec) -> Calibration:
    """Fit the maps of one method to its predictions for meta-validation.

    Args:
        predictions: ``[C, T, n]``.
        batch: the T tasks of meta-validation and their labels.
        spec: label range and levels.

    Returns:
        The maps. Where a prediction is not finite, as of scores that only rank, these rows are left out; where all are,
        predictions stay as they are.

    Reference:
        Barlow and Brunk, The isotonic regression problem and its dual, Journal of the American Statistical Association
        1972, of which these are solutions with few knots.
    """
    label, mask = np.asarray(batch.label, np.float64), np.asarray(batch.task.query.mask)
    levels = np.unique(np.asarray(spec.levels, np.float32).astype(np.float64))
    # Labels of few levels have a median that is one of them.
    few = len(levels) > 1 and bool(np.isin(label[mask], levels).all())
    means, medians, thresholds, sharpness = [], [], None, None
    if few and predictions.log_shares is not None and np.array_equal(levels, np.asarray(spec.levels, np.float32)):
        thresholds = fit_thresholds(np.asarray(predictions.log_shares), label, mask, levels)
        sharpness = fit_sharpness(np.asarray(predictions.log_shares), label, mask, levels)
    for predicted in np.asarray(predictions.label, np.float64):
        there = mask & np.isfinite(predicted)
        rows = predicted[there], label[there]
        means.append(monotone_mean(*rows, spec.low, spec.high) if there.any() else identity(spec))
        if not there.any():
            medians.append(identity(spec))
        elif few:
            medians.append(monotone_level(*rows, levels))
        else:
            medians.append(monotone_median(*rows, spec.low, spec.high))
    knots = MOST_SEGMENTS + 1, 2 * max(len(levels) - 1, MOST_SEGMENTS)
    return Calibration(_stack(means, knots[0]), _stack(medians, knots[1]), thresholds, sharpness)


def fit_thresholds(
    log_shares: Float[np.ndarray, "C T n L"], label: Float[np.ndarray, "T n"], mask: Bool[np.ndarray, "T n"],
    levels: Float[np.ndarray, "L"],
) -> Thresholds:  # fmt: skip
    """Fit the thresholds with the least absolute error, each by itself, at each support size.

    A level is passed where the predicted probability of a label above it is beyond its threshold, and the median is as
    many levels up as are passed: its absolute error is at most the sum, over the gaps between levels, of the gap times
    the share of rows on its wrong side, which is what is minimised.

    Args:
        log_shares: of the levels, as predicted.
        label, mask: of the rows, each label one of the levels.
        levels: ascending, at least two.
    """
    above = np.asarray(exceedance(jnp.asarray(log_shares)), np.float64)[:, mask]
    found = [
        [split_between(predicted[:, place], label[mask] > level) for place, level in enumerate(levels[:-1])]
        for predicted in above
    ]
    return Thresholds(np.tile(np.float32(levels), (len(found), 1)), np.asarray(found, np.float32))


def fit_sharpness(
    log_shares: Float[np.ndarray, "C T n L"], label: Float[np.ndarray, "T n"], mask: Bool[np.ndarray, "T n"],
    levels: Float[np.ndarray, "L"],
) -> Float[np.ndarray, "C"]:  # fmt: skip
    """Fit the power of predicted distributions under which labels are likeliest, at each support size.

    Args:
        log_shares, label, mask, levels: as for `fit_thresholds`.

    Reference: Guo et al., On calibration of modern neural networks, ICML 2017, section 4.2 (temperature scaling).
    """
    own = np.searchsorted(levels, label[mask])[:, None]

    def best(shares: Float[np.ndarray, "N L"]) -> float:
        def lost(log_power: float) -> float:
            raised = np.exp(log_power) * shares
            likely = np.take_along_axis(raised, own, axis=1)[:, 0] - np.logaddexp.reduce(raised, axis=1)
            return -float(likely.mean())

        found: Any = minimize_scalar(lost, bounds=(-2, 2), method="bounded")
        return float(np.exp(found.x))

    return np.asarray([best(shares[mask].astype(np.float64)) for shares in log_shares], np.float32)


def split_between(predicted: Float[np.ndarray, "N"], above: Bool[np.ndarray, "N"]) -> float:
    """The value at which to cut predictions so that the fewest rows are on the wrong side.

    >>> split_between(np.array([0.1, 0.4, 0.2, 0.3]), np.array([False, True, False, True]))
    0.25
    """
    order = np.argsort(predicted, kind="stable")
    predicted, above = predicted[order], above[order]
    # A cut lies between two different predictions, or beyond all.
    between = np.concatenate([[True], np.diff(predicted) > 0, [True]])
    middle = (predicted[1:] + predicted[:-1]) / 2
    places = np.concatenate([[predicted[0] - 1], middle, [predicted[-1] + 1]])
    # Rows before the cut are predicted not above, the others above.
    wrong = np.concatenate([[0], np.cumsum(above)]) + (~above).sum() - np.concatenate([[0], np.cumsum(~above)])
    return float(places[np.argmin(np.where(between, wrong, np.inf))])


def identity(spec: DataSpec) -> Curve:
    """The curve that changes nothing within the label range."""
    ends = np.array([spec.low, spec.high])
    return Curve(ends, ends)


def monotone_mean(predicted: Float[np.ndarray, "N"], label: Float[np.ndarray, "N"], low: float, high: float) -> Curve:
    """The monotone curve of few segments with the least squared error.

    Args:
        predicted, label: of N rows.
        low, high: the label range, in which its values are.
    """
    knots, basis = _segments(predicted)
    return Curve(knots, np.clip(_least_squares(basis, label, np.ones(len(label))), low, high))


def monotone_median(predicted: Float[np.ndarray, "N"], label: Float[np.ndarray, "N"], low: float, high: float) -> Curve:
    """The monotone curve of few segments with the least absolute error, by reweighted least squares.

    Args:
        predicted, label: of N rows.
        low, high: the label range, in which its values are.
    """
    knots, basis = _segments(predicted)
    weight, to = np.ones(len(label)), np.zeros(0)
    for _ in range(REWEIGHTINGS):
        to = _least_squares(basis, label, weight)
        wrong = np.abs(label - to[0] - basis @ np.diff(to))
        weight = 1 / np.maximum(wrong, 1e-4 * (high - low))
    return Curve(knots, np.clip(to, low, high))


def monotone_level(
    predicted: Float[np.ndarray, "N"], label: Float[np.ndarray, "N"], levels: Float[np.ndarray, "L"]
) -> Curve:
    """The monotone step function to levels with the least absolute error.

    Absolute error is the sum, over the gaps between neighbouring levels, of the gap times the share of rows on its
    wrong side: each threshold is found by itself, and they ascend.

    Args:
        predicted, label: of N rows, each label one of the levels.
        levels: ascending, at least two.
    """
    ascending = np.asarray([split_between(predicted, label > level) for level in levels[:-1]], np.float32)
    at = np.unique(ascending)
    passed, before = (np.searchsorted(ascending, at, side=side) for side in ("right", "left"))
    knots = np.stack([at, np.nextafter(at, np.float32(np.inf))], axis=1).ravel()
    return Curve(knots, np.stack([levels[before], levels[passed]], axis=1).ravel())


def _segments(predicted: Float[np.ndarray, "N"]) -> tuple[Float[np.ndarray, "m+1"], Float[np.ndarray, "N m"]]:
    """Knots between which there are about as many rows, and the share of each segment that a row has passed."""
    number = int(np.clip(len(predicted) // ROWS_PER_SEGMENT, 1, MOST_SEGMENTS))
    # In float32, in which predictions are: knots stay distinct.
    knots = np.unique(np.float32(np.quantile(predicted, np.linspace(0, 1, number + 1)))).astype(np.float64)
    return knots, np.clip((predicted[:, None] - knots[:-1]) / np.diff(knots), 0, 1)


def _least_squares(
    basis: Float[np.ndarray, "N m"], label: Float[np.ndarray, "N"], weight: Float[np.ndarray, "N"]
) -> Float[np.ndarray, "m+1"]:
    """Values at the knots, which do not fall, with the least weighted squared error."""
    share = weight / weight.sum()
    center, mean = share @ basis, share @ label
    root = np.sqrt(share)
    steps = nnls(root[:, None] * (basis - center), root * (label - mean))[0] if basis.shape[1] else np.zeros(0)
    return np.concatenate([[0.0], np.cumsum(steps)]) + mean - center @ steps


def _stack(curves: list[Curve], knots: int) -> Curve:
    """Curves of one length: further knots lie beyond the last, with its value."""

    def longer(curve: Curve) -> Curve:
        more = knots - len(curve.at)
        at = np.concatenate([curve.at, curve.at[-1] + 1 + np.arange(more)])
        return Curve(at, np.concatenate([curve.to, np.full(more, curve.to[-1])]))

    stacked = [np.stack(values).astype(np.float32) for values in zip(*map(longer, curves), strict=True)]
    return Curve(*stacked)


@jax.jit
def calibrated(calibration: Calibration, predictions: Predictions) -> Predictions:
    """Replace predicted labels ``[C, T, n]`` by their mean, and add their median."""

    def read(curve: Curve) -> Array:
        return jax.vmap(jnp.interp)(predictions.label, jnp.asarray(curve.at), jnp.asarray(curve.to))

    median = read(calibration.median)
    if calibration.thresholds and predictions.log_shares is not None:
        median = jax.vmap(read_median)(calibration.thresholds, predictions.log_shares)
    log_shares = predictions.log_shares
    if calibration.sharpness is not None and log_shares is not None:
        power = jnp.asarray(calibration.sharpness).reshape(-1, *[1] * (log_shares.ndim - 1))
        log_shares = jax.nn.log_softmax(power * log_shares)
    return predictions._replace(label=read(calibration.mean), median=median, log_shares=log_shares)


def read_median(thresholds: Thresholds, log_shares: Float[Array, "T n L"]) -> Float[Array, "T n"]:
    """The level that as many levels are below as a distribution passes the thresholds of."""
    passed = exceedance(log_shares) > jnp.asarray(thresholds.above)
    return jnp.asarray(thresholds.levels)[passed.sum(-1)]


def report(calibration: Calibration, shots: tuple[int, ...]) -> dict[str, Any]:
    """The maps as plain values: per support size the knots of each and their values; further knots are left out."""

    def plain(curve: Curve) -> Mapping[str, Any]:
        found: dict[str, list] = {"at": [], "to": []}
        for at, to in zip(np.asarray(curve.at, float), np.asarray(curve.to, float), strict=True):
            end = len(to) - int(np.argmax(to[::-1] != to[-1])) + 1 if (to != to[-1]).any() else 1
            found["at"].append(at[:end].tolist())
            found["to"].append(to[:end].tolist())
        return found

    found = {"shots": list(shots), "mean": plain(calibration.mean), "median": plain(calibration.median)}
    if calibration.thresholds:
        found["thresholds"] = {name: np.asarray(values, float).tolist()
                               for name, values in calibration.thresholds._asdict().items()}  # fmt: skip
    if calibration.sharpness is not None:
        found["sharpness"] = np.asarray(calibration.sharpness, float).tolist()
    return found
