"""Muon: orthogonal updates of dense matrices, Adam's of the rest."""

import jax
import numpy as np
import optax

from recmeta.training.muon import AS_ADAM, muon

RNG = np.random.default_rng(0)
PARAMS = {
    "tables": {"row": RNG.normal(size=(9, 4)).astype(np.float32)},
    "scorer": {"kernel": RNG.normal(size=(6, 4)).astype(np.float32), "bias": RNG.normal(size=4).astype(np.float32)},
    "rates": {"scorer": {"kernel": RNG.normal(size=(6, 4)).astype(np.float32)}},
}
GRADIENT = jax.tree.map(lambda leaf: RNG.normal(size=leaf.shape).astype(np.float32), PARAMS)


def update(optimizer):
    return optimizer.update(GRADIENT, optimizer.init(PARAMS), PARAMS)[0]


def test_a_matrix_moves_by_the_orthogonal_matrix_nearest_to_its_gradient():
    left, _, right = np.linalg.svd(GRADIENT["scorer"]["kernel"], full_matrices=False)
    moved = np.asarray(update(muon(0.01, 0.001))["scorer"]["kernel"])
    # Five Newton-Schulz iterations bring singular values to about 1, and leave the vectors.
    values = -np.diag(left.T @ moved @ right.T) / (0.01 * AS_ADAM * 6**0.5)
    assert ((values > 0.65) & (values < 1.25)).all()
    rest = left.T @ moved @ right.T - np.diag(np.diag(left.T @ moved @ right.T))
    assert np.abs(rest).max() < 1e-3 * np.abs(moved).max()


def test_tables_and_vectors_move_as_under_adam_with_nesterovs_momentum():
    """And rates of an inner loop, which have the shapes of the matrices that they are of."""
    both, adam = update(muon(0.01, 0.001)), update(optax.nadam(0.001))
    np.testing.assert_allclose(both["rates"]["scorer"]["kernel"], adam["rates"]["scorer"]["kernel"], rtol=1e-6)
    np.testing.assert_allclose(both["tables"]["row"], adam["tables"]["row"], rtol=1e-6)
    np.testing.assert_allclose(both["scorer"]["bias"], adam["scorer"]["bias"], rtol=1e-6)


def test_the_size_of_a_gradient_changes_no_update():
    larger = jax.tree.map(lambda leaf: 7 * leaf, GRADIENT)
    optimizer = muon(0.01, 0.001)
    other = optimizer.update(larger, optimizer.init(PARAMS), PARAMS)[0]
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-3, atol=1e-7), update(optimizer), other)
