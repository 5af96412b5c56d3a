"""Muon: dense layers updated by the orthogonalised momentum, embedding tables and all else by Adam."""

from __future__ import annotations

from typing import Any

import jax
import optax
from optax.contrib import MuonDimensionNumbers

from recmeta.types import Params

NO_MATRICES = ("tables", "rates", "curvature", "prompt", "place", "back")
"""Names of parameters with two axes that no input is multiplied by: tables, rates of an inner loop and factors of its
gradients, learned rows, biases by place."""

AS_ADAM = 0.2
"""Root mean square of an update, in learning rates: about what Adam's is, so that its rates carry over."""


def muon(
    learning_rate: float, adam_learning_rate: float, momentum: float = 0.95, weight_decay: float = 0.0
) -> optax.GradientTransformation:
    """Build Muon for the matrices that inputs are multiplied by, with Adam for all else.

    The momentum of a matrix that inputs are multiplied by is replaced by the nearest orthogonal matrix (by five
    Newton-Schulz iterations), so that all directions are learned at one rate. A table's rows are learned apart from
    each other, and vectors have no directions: both are moved by Adam with Nesterov's momentum.

    Args:
        learning_rate: of matrices; a fifth of it is the root mean square of an update.
        adam_learning_rate: of tables, vectors, scalars, and all of `NO_MATRICES`.
        momentum: of matrices.
        weight_decay: how far matrices are pulled to 0 at each step, in learning rates; nothing else is.

    Reference: Jordan et al., Muon, 2024; Liu et al., Muon is scalable for LLM training, 2025 (the scale of an update).
    """
    return optax.contrib.muon(
        learning_rate,
        beta=momentum,
        weight_decay=weight_decay,
        consistent_rms=AS_ADAM,
        adam_learning_rate=adam_learning_rate,
        muon_weight_dimension_numbers=_matrices,
    )


def _matrices(params: Params) -> Any:
    """Mark the matrices that inputs are multiplied by; all else is None."""

    def one(path: tuple[Any, ...], leaf: Any) -> MuonDimensionNumbers | None:
        named = {getattr(step, "key", None) for step in path}
        return MuonDimensionNumbers() if leaf.ndim == 2 and named.isdisjoint(NO_MATRICES) else None

    return jax.tree_util.tree_map_with_path(one, params)
