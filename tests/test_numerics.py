"""The solver against numpy, and its derivatives against the closed form."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.numerics import solve_positive


def system(size, seed=0):
    rng = np.random.default_rng(seed)
    factor = rng.normal(size=(size, size))
    return factor @ factor.T + np.eye(size), rng.normal(size=size)


@pytest.mark.parametrize("size", [1, 2, 20])
def test_it_solves(size):
    with jax.enable_x64(True):
        matrix, target = system(size)
        got = solve_positive(jnp.array(matrix), jnp.array(target))
        np.testing.assert_allclose(got, np.linalg.solve(matrix, target))


def test_single_precision_is_enough_for_a_badly_scaled_gram():
    """Condition number about 20,000: four digits are lost, as LAPACK's Cholesky loses them."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(20, 40)) * np.logspace(-2, 1.5, 40)
    matrix, target = rows @ rows.T + np.eye(20), rng.normal(size=20)
    got = solve_positive(jnp.asarray(matrix, jnp.float32), jnp.asarray(target, jnp.float32))
    expected = np.linalg.solve(matrix, target)
    assert np.abs(got - expected).max() < 1e-3 * np.abs(expected).max()


def test_its_gradient_is_the_closed_form():
    """Of ``c . A^-1 b``: ``A^-1 c`` in b, and ``-(A^-1 c)(A^-1 b)'`` in A."""
    with jax.enable_x64(True):
        matrix, target = system(6)
        weights = np.random.default_rng(1).normal(size=6)
        value = lambda matrix, target: weights @ solve_positive(matrix, target)  # noqa: E731
        by_matrix, by_target = jax.grad(value, (0, 1))(jnp.array(matrix), jnp.array(target))
        left, right = np.linalg.solve(matrix, weights), np.linalg.solve(matrix, target)
        np.testing.assert_allclose(by_target, left, rtol=1e-9)
        np.testing.assert_allclose(by_matrix, -np.outer(left, right), rtol=1e-9, atol=1e-12)


def test_a_batch_is_solved_one_by_one():
    matrices, targets = zip(*(system(5, seed) for seed in range(4)), strict=True)
    got = jax.jit(jax.vmap(solve_positive))(jnp.array(matrices, jnp.float32), jnp.array(targets, jnp.float32))
    np.testing.assert_allclose(got, np.linalg.solve(matrices, np.array(targets)[..., None])[..., 0], rtol=1e-3)


def test_no_call_leaves_the_compiled_program():
    """LAPACK would be a custom call; two batched ones at a time can lock the CPU runtime."""
    program = jax.jit(jax.vmap(jax.grad(lambda a, b: solve_positive(a, b).sum())))
    text = program.lower(jnp.zeros((3, 4, 4)), jnp.zeros((3, 4))).as_text()
    assert "lapack" not in text
