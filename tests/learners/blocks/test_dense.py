"""Plain layers against numpy, and where they start."""

import jax
import jax.numpy as jnp
import numpy as np

from recmeta.learners.blocks import dense
from recmeta.types import Encoding


def test_layers_are_what_is_written(key):
    layers = dense.init(key, (3, 4, 2))
    x = np.random.default_rng(0).normal(size=(5, 3))
    first, second = (jax.tree.map(np.asarray, layers[name]) for name in ("layer_0", "layer_1"))
    expected = np.maximum(x @ first["kernel"] + 0.1, 0) @ second["kernel"] - 0.2
    moved = jax.tree.map(lambda v: v, layers)
    moved["layer_0"]["bias"], moved["layer_1"]["bias"] = jnp.full(4, 0.1), jnp.full(2, -0.2)
    np.testing.assert_allclose(dense.apply(moved, jnp.array(x)), expected, rtol=1e-5, atol=1e-6)


def test_hidden_layers_keep_the_scale_of_their_input_and_the_last_is_as_small_as_is_asked(key):
    layers = dense.init(key, (400, 400, 400), last=0.1)
    x = jax.random.normal(jax.random.key(1), (50, 400))
    hidden = jax.nn.relu(dense.linear(layers["layer_0"], x))
    np.testing.assert_allclose(jnp.square(hidden).mean(), 1, rtol=0.05)
    np.testing.assert_allclose(jnp.square(dense.apply(layers, x)).mean() ** 0.5, 0.1, rtol=0.05)


def test_a_context_that_is_the_same_for_all_rows_stands_beside_each():
    rows, one = jnp.arange(6.0).reshape(3, 2), jnp.array([[7.0]])
    np.testing.assert_array_equal(
        dense.joined(Encoding(one, rows)), dense.joined(Encoding(jnp.tile(one, (3, 1)), rows))
    )
    assert dense.joined(Encoding(one, rows))[2].tolist() == [7, 4, 5]


def test_dropout_keeps_the_mean_and_each_layer_drops_apart():
    x = jnp.ones((400, 50))
    first, second = (dense.dropped(x, dense.Dropout(jax.random.key(0), 0.25), layer) for layer in (0, 1))
    assert set(np.unique(np.asarray(first)).round(4)) == {0.0, np.float32(4 / 3).round(4)}
    np.testing.assert_allclose(first.mean(), 1, atol=5 * np.sqrt(1 / 3 / x.size))
    assert not np.array_equal(first, second)
    np.testing.assert_array_equal(dense.dropped(x, None, 0), x)
