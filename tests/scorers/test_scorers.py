"""Scorers against numpy."""

from functools import partial

import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from recmeta.scorers.dot import dot
from recmeta.scorers.mlp import mlp
from recmeta.types import Encoding

RNG = np.random.default_rng(0)
CONTEXT, ROW = RNG.normal(size=(5, 3)).astype(np.float32), RNG.normal(size=(5, 2)).astype(np.float32)


def test_dot_by_hand():
    scorer = dot(widths=(3, 2), rngs=nnx.Rngs(0), width=4)
    scorer.context_level.bias[...] = jnp.array([0.7])
    meet = (CONTEXT @ np.asarray(scorer.context.kernel[...])) * (ROW @ np.asarray(scorer.row.kernel[...]))
    level = CONTEXT @ np.asarray(scorer.context_level.kernel[...]) + ROW @ np.asarray(scorer.row_level.kernel[...])
    expected = meet.sum(1) / 2 + level[:, 0] + 0.7
    np.testing.assert_allclose(scorer(Encoding(jnp.array(CONTEXT), jnp.array(ROW))), expected, rtol=1e-5)


def test_mlp_by_hand():
    scorer = mlp(widths=(3, 2), rngs=nnx.Rngs(0), hidden=(6, 4))
    scorer.bias[...] = jnp.array(RNG.normal(size=6), jnp.float32)
    whole = np.concatenate([np.asarray(scorer.context[...]), np.asarray(scorer.row[...])])
    value = np.concatenate([CONTEXT, ROW], axis=1) @ whole + np.asarray(scorer.bias[...])
    for layer in scorer.layers:
        value = np.maximum(value, 0) @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
    np.testing.assert_allclose(scorer(Encoding(jnp.array(CONTEXT), jnp.array(ROW))), value[:, 0], rtol=1e-5)


def test_mlp_with_layers_normalised_by_hand():
    scorer = mlp(widths=(3, 2), rngs=nnx.Rngs(0), hidden=(6, 4), norm=True)
    norm = scorer.rectifiers[1].norm
    norm.scale[...], norm.bias[...] = (jnp.array(RNG.normal(size=4), jnp.float32) for _ in range(2))
    whole = np.concatenate([np.asarray(scorer.context[...]), np.asarray(scorer.row[...])])
    value = np.concatenate([CONTEXT, ROW], axis=1) @ whole
    for rectifier, layer in zip(scorer.rectifiers, scorer.layers, strict=True):
        value = (value - value.mean(1, keepdims=True)) / np.sqrt(value.var(1, keepdims=True) + 1e-6)
        value = value * np.asarray(rectifier.norm.scale[...]) + np.asarray(rectifier.norm.bias[...])
        value = np.maximum(value, 0) @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])
    np.testing.assert_allclose(scorer(Encoding(jnp.array(CONTEXT), jnp.array(ROW))), value[:, 0], rtol=1e-4)


@pytest.mark.parametrize("make", [partial(dot, width=4), partial(mlp, hidden=(6,))], ids=["dot", "mlp"])
def test_one_context_for_all_rows_is_that_context_at_each(make):
    scorer = make(widths=(3, 2), rngs=nnx.Rngs(0))
    shared = scorer(Encoding(jnp.array(CONTEXT[:1]), jnp.array(ROW)))
    apart = scorer(Encoding(jnp.tile(CONTEXT[:1], (5, 1)), jnp.array(ROW)))
    np.testing.assert_allclose(shared, apart, rtol=1e-5, atol=1e-6)
    assert shared.shape == (5,)
