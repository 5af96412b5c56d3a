"""Means over tasks, and the level of tests and intervals."""

from __future__ import annotations

import numpy as np
from jaxtyping import Float

LEVEL = 0.05
"""The error rate of tests and intervals."""

AT_ONCE = 2_000_000
"""Numbers that resampling holds at a time."""


def mean_of(values: Float[np.ndarray, "S N"]) -> float:
    """The mean over tasks of a task's mean over seeds; NaN without any value.

    >>> mean_of(np.array([[1.0, 2.0], [3.0, 4.0]]))
    2.5
    """
    return float(values.mean(axis=0).mean()) if values.size else float("nan")
