"""Solve small positive definite systems in plain array operations."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def solve_positive(matrix: Float[Array, "K K"], target: Float[Array, "K *m"]) -> Float[Array, "K *m"]:
    """Solve ``matrix @ x = target`` for a symmetric positive definite matrix; differentiable to any order.

    One target or many.

    Gauss-Jordan elimination, which needs no pivoting on such a matrix. Not LAPACK's Cholesky: batches of small systems
    are its worst case, and two batched calls at a time can lock the CPU runtime, since each waits inside a worker
    thread for workers (jaxlib 0.10, two cores: seen). Derivatives are further solves, not derivatives of the loop.

    >>> solve_positive(jnp.array([[2.0, 1.0], [1.0, 2.0]]), jnp.array([3.0, 0.0])).tolist()
    [2.0, -1.0]
    """

    def eliminate(_, target: Array) -> Array:
        def column(i: Array, rows: Array) -> Array:
            # Dividing the pivot's own row equals subtracting its excess over 1 times the divided row.
            pivot = rows[i] / rows[i, i]
            return rows - jnp.outer(rows[:, i].at[i].add(-1), pivot)

        solved = jax.lax.fori_loop(0, len(matrix), column, jnp.column_stack([matrix, target]))[:, len(matrix) :]
        return solved.reshape(target.shape)

    return jax.lax.custom_linear_solve(lambda x: matrix @ x, target, eliminate, symmetric=True)
