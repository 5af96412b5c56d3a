"""Dense layers of kernels."""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from recmeta.models.layers import Kernel, Linear


def test_linear_is_flax_linear(key):
    x = jax.random.normal(key, (5, 3))
    for use_bias in (True, False):
        ours, flax = (layer(3, 2, use_bias=use_bias, rngs=nnx.Rngs(0)) for layer in (Linear, nnx.Linear))
        assert isinstance(ours.kernel, Kernel)
        np.testing.assert_array_equal(ours(x), flax(x))


def test_a_kernel_may_be_anything_that_inputs_are_multiplied_by():
    class Twice:
        def __init__(self, matrix):
            self.matrix = matrix

        def __getitem__(self, index):
            return self

        def __rmatmul__(self, x):
            return 2 * x @ self.matrix

    layer = Linear(3, 2, use_bias=False, rngs=nnx.Rngs(0))
    definition, state = nnx.split(layer, graph=False)
    held = nnx.to_pure_dict(state)
    x = jnp.ones((4, 3))
    got = nnx.merge(definition, nnx.State({"kernel": Twice(held["kernel"])}))(x)
    np.testing.assert_allclose(got, 2 * layer(x), rtol=1e-6)
