"""Small positive definite systems."""

from __future__ import annotations

import jax
from jaxtyping import Array, Float


def solve(matrix: Float[Array, "K K"], target: Float[Array, "K"]) -> Float[Array, "K"]:
    """Solve a small positive definite system by conjugate gradients.

    Not by LAPACK, of which batches of small systems are the worst case on a CPU. The matrices here are an identity plus
    something of low rank, for which few steps are enough.
    """
    return jax.scipy.sparse.linalg.cg(matrix, target, tol=1e-6, maxiter=4 * len(target))[0]
