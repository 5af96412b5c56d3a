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
from jaxtyping import Array, Float
from scipy.optimize import nnls

from recmeta.evaluation.score import Predictions
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


class Calibration(NamedTuple):
    """Maps from a predicted label to the labels' mean, and to their median, given that prediction."""

    mean: Curve
    median: Curve


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
    means, medians = [], []
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
    return Calibration(_stack(means, knots[0]), _stack(medians, knots[1]))


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
    order = np.argsort(predicted, kind="stable")
    predicted, label = predicted[order], label[order]
    # A threshold lies between two different predictions, or beyond all.
    between = np.concatenate([[True], np.diff(predicted) > 0, [True]])
    middle = (predicted[1:] + predicted[:-1]) / 2
    places = np.concatenate([[predicted[0] - 1], middle, [predicted[-1] + 1]])
    thresholds = []
    for level in levels[:-1]:
        above = label > level
        # Rows before the threshold are predicted not above the level, the others above.
        wrong = np.concatenate([[0], np.cumsum(above)]) + (~above).sum() - np.concatenate([[0], np.cumsum(~above)])
        thresholds.append(places[np.argmin(np.where(between, wrong, np.inf))])
    ascending = np.asarray(thresholds, np.float32)
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

    return predictions._replace(label=read(calibration.mean), median=read(calibration.median))


def report(calibration: Calibration, shots: tuple[int, ...]) -> dict[str, Any]:
    """The maps as plain values: per support size the knots of each and their values; further knots are left out."""

    def plain(curve: Curve) -> Mapping[str, Any]:
        found: dict[str, list] = {"at": [], "to": []}
        for at, to in zip(np.asarray(curve.at, float), np.asarray(curve.to, float), strict=True):
            end = len(to) - int(np.argmax(to[::-1] != to[-1])) + 1 if (to != to[-1]).any() else 1
            found["at"].append(at[:end].tolist())
            found["to"].append(to[:end].tolist())
        return found

    return {"shots": list(shots), "mean": plain(calibration.mean), "median": plain(calibration.median)}
