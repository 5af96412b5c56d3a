"""The divergence against an integral and, over several dimensions, against a sum."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.blocks.gaussian import Gaussian, divergence


@pytest.fixture(autouse=True)
def double():
    """All of it in double precision."""
    with jax.enable_x64():
        yield


def test_divergence_is_the_integral():
    p, q = (np.array([0.4]), np.array([-0.5])), (np.array([-0.3]), np.array([0.6]))
    x = np.linspace(-12, 12, 200_001)
    log = [-((x - m) ** 2) / (2 * np.exp(v)) - 0.5 * (v + np.log(2 * np.pi)) for m, v in (p, q)]
    integral = np.trapezoid(np.exp(log[0]) * (log[0] - log[1]), x)
    got = divergence(Gaussian(*map(jnp.array, p)), Gaussian(*map(jnp.array, q)))
    np.testing.assert_allclose(got, integral, rtol=1e-6)


def test_divergence_is_the_sum_over_dimensions():
    mean, share, variance = np.array([[0.3, -0.2]]), np.array([[0.5, 1.5]]), np.array([0.4, 0.9])
    expected = sum(
        (np.log(v / (s * v)) + (s * v + m**2) / v - 1) / 2 for m, s, v in zip(mean[0], share[0], variance, strict=True)
    )
    posterior, prior = Gaussian(mean, np.log(share * variance)), Gaussian(np.zeros(2), np.log(variance))
    np.testing.assert_allclose(divergence(*jax.tree.map(jnp.array, (posterior, prior))), expected, rtol=1e-10)
