"""Numbers and comparisons in words."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from recmeta.statistics.comparisons import Comparison
from recmeta.statistics.intervals import LEVEL

SMALL = 0.2
"""Cohen's bound below which an effect is less than small."""


def best_of(means: Mapping[str, float], goal: str) -> str | None:
    """The name with the best mean, the first of equals; None where all are NaN.

    >>> best_of({"a": 1.0, "b": float("nan"), "c": 0.5}, "min")
    'c'
    """
    known = {name: value for name, value in means.items() if not np.isnan(value)}
    return (min if goal == "min" else max)(known, key=known.__getitem__) if known else None


def wording(
    comparison: Comparison,
    reference: str,
    metric: str,
    goal: str,
    p: float | None = None,
    family: int = 1,
    correction: str = "Holm",
) -> str:
    """State a comparison in one line of plain words; a weak result is called weak.

    The interval belongs to the comparison's own p. Where that was corrected, both are printed, and the corrected one
    decides.

    Args:
        comparison: method minus reference.
        reference: the reference's name.
        metric: the metric's name.
        goal: "min" or "max".
        p: corrected p-value; None for the comparison's own.
        family: number of comparisons p was corrected for.
        correction: name of the procedure.

    Returns:
        One line without a full stop.
    """
    p = comparison.p if p is None else p
    if comparison.n < 2:
        return f"not compared with {reference}: a test needs two tasks in common, there is {comparison.n or 'none'}"
    chance = _chance(comparison.p) + (f", {_chance(p)} by {correction} over {family}" if family > 1 else "")
    about = {0: "given these trainings", 1: "of this training"}.get(
        comparison.trainings, f"over tasks and {comparison.trainings} trainings"
    )
    about += ", given the other's single one" if comparison.lone else ""
    interval = f"95 % interval {number(comparison.lo)} … {number(comparison.hi)} {about}, {chance}"
    if not p < LEVEL:
        before = ", before correction" if family > 1 else ""
        return (
            f"not distinguishable from {reference} (difference {number(comparison.difference)} {metric.upper()}, "
            f"{interval}; with {comparison.n} tasks, only {number(comparison.detectable)} or more is likely to show"
            f"{before})"
        )
    side = "below" if comparison.difference < 0 else "above"
    better = "better" if (comparison.difference < 0) == (goal == "min") else "worse"
    small = f", but by little (dz = {number(comparison.effect_size)})" if abs(comparison.effect_size) < SMALL else ""
    size = number(abs(comparison.difference))
    reference = f"{reference}," if "," in reference else reference  # an apposition ends before the clause goes on
    return f"{side} {reference} by {size} {metric.upper()} ({interval}): {better}{small}"


def number(value: float | None) -> str:
    """A number in text: three decimals, two digits if it is smaller, a dash if there is none.

    >>> number(0.76661), number(0.00012), number(None), number(float("inf"))
    ('0.767', '0.00012', '-', '∞')
    """
    if value is None or np.isnan(value):
        return "-"
    size = abs(value)
    digits = "∞" if np.isinf(size) else f"{size:.3f}" if size == 0 or size >= 0.001 else f"{size:.2g}"
    return f"\N{MINUS SIGN}{digits}" if value < 0 else digits


def _chance(p: float) -> str:
    """A p-value in text, with enough digits to show on which side of the level it is."""
    if p < 0.001:
        return "p < 0.001"
    digits = next((k for k in range(3, 9) if (float(f"{p:.{k}f}") < LEVEL) == (p < LEVEL)), 9)
    return f"p = {p:.{digits}f}"
