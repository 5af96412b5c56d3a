"""Scorers against numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from recmeta.scorers.bilinear import bilinear
from recmeta.scorers.content import content
from recmeta.scorers.cosine import cosine
from recmeta.scorers.dcn import dcn
from recmeta.scorers.deepfm import deepfm
from recmeta.scorers.dot import dot
from recmeta.scorers.fm import fm
from recmeta.scorers.mlp import mlp
from recmeta.types import Encoding

RNG = np.random.default_rng(0)
CONTEXT, ROW = RNG.normal(size=(5, 3)).astype(np.float32), RNG.normal(size=(5, 2)).astype(np.float32)
ENCODING = Encoding(CONTEXT, ROW)  # pyright: ignore[reportArgumentType] (numpy's: JAX may not compile at import)


def levels(scorer):
    """What is linear in each side alone."""
    level = CONTEXT @ np.asarray(scorer.context_level.kernel[...]) + ROW @ np.asarray(scorer.row_level.kernel[...])
    return level[:, 0]


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


def test_bilinear_by_hand():
    scorer = bilinear(widths=(3, 2), rngs=nnx.Rngs(0))
    meet = np.einsum("nc,cr,nr->n", CONTEXT, np.asarray(scorer.between.kernel[...]), ROW) / 2**0.5
    np.testing.assert_allclose(scorer(ENCODING), meet + levels(scorer), rtol=1e-4, atol=1e-6)


def test_cosine_by_hand():
    scorer = cosine(widths=(3, 2), rngs=nnx.Rngs(0), width=4, scale=2.5)
    a, b = CONTEXT @ np.asarray(scorer.context.kernel[...]), ROW @ np.asarray(scorer.row.kernel[...])
    meet = (a * b).sum(1) / np.linalg.norm(a, axis=1) / np.linalg.norm(b, axis=1)
    np.testing.assert_allclose(scorer(ENCODING), 2.5 * meet + levels(scorer), rtol=1e-4, atol=1e-6)


def test_the_cosine_of_zeros_has_a_gradient():
    scorer = cosine(widths=(3, 2), rngs=nnx.Rngs(0), width=4, scale=1.0)
    slope = jax.grad(lambda row: scorer(Encoding(jnp.array(CONTEXT), row)).sum())(jnp.zeros((5, 2)))
    assert np.isfinite(slope).all()


def test_content_reads_the_row_alone():
    scorer = content(widths=(3, 2), rngs=nnx.Rngs(0))
    np.testing.assert_allclose(scorer(ENCODING), ROW @ np.asarray(scorer.theta.kernel[...])[:, 0], rtol=1e-5)


def pairs_by_hand(scorer):
    """Every two numbers of a row, one at a time."""
    x, found = np.concatenate([CONTEXT, ROW], axis=1), np.zeros(len(ROW))
    vectors = np.concatenate([np.asarray(scorer.context[...]), np.asarray(scorer.row[...])])
    for i in range(5):
        for j in range(i + 1, 5):
            found += vectors[i] @ vectors[j] * x[:, i] * x[:, j]
    return found + levels(scorer)


def test_a_factorisation_machine_by_hand():
    scorer = fm(widths=(3, 2), rngs=nnx.Rngs(0), width=4)
    np.testing.assert_allclose(scorer(ENCODING), pairs_by_hand(scorer), rtol=1e-4, atol=1e-6)


def test_deepfm_is_the_sum_of_its_parts():
    scorer = deepfm(widths=(3, 2), rngs=nnx.Rngs(0), width=4, hidden=(6,))
    np.testing.assert_allclose(
        scorer(ENCODING) - scorer.deep(ENCODING), pairs_by_hand(scorer.pairs), rtol=1e-3, atol=1e-5
    )


@pytest.mark.parametrize("hidden", [(), (6, 4)])
def test_dcn_by_hand(hidden):
    scorer = dcn(widths=(3, 2), rngs=nnx.Rngs(0), cross=2, hidden=hidden)
    for layer in scorer.cross:
        layer.bias[...] = jnp.array(RNG.normal(size=5), jnp.float32)
    start = np.concatenate([CONTEXT, ROW], axis=1)
    crossed = deep = start
    for layer in scorer.cross:
        crossed = start * (crossed @ np.asarray(layer.kernel[...]) + np.asarray(layer.bias[...])) + crossed
    for layer in scorer.deep:
        deep = np.maximum(deep @ np.asarray(layer.kernel[...]), 0)
    both = np.concatenate([crossed, deep], axis=1) if hidden else crossed
    np.testing.assert_allclose(scorer(ENCODING), (both @ np.asarray(scorer.output.kernel[...]))[:, 0], rtol=1e-4)


def test_cross_layers_alone_are_a_polynomial_of_bounded_degree():
    # Two layers: degree three. Fourth differences along a line are 0.
    scorer = dcn(widths=(3, 2), rngs=nnx.Rngs(0), cross=2, hidden=())
    with jax.enable_x64():
        t = jnp.linspace(-1.0, 1.0, 5)[:, None]
        scores = scorer(Encoding(t * CONTEXT[0], t * ROW[0]))
        assert abs(float(jnp.diff(scores, 4)[0])) < 1e-5
        assert abs(float(jnp.diff(scores, 3)[0])) > 1e-3


ALL = {
    "dot": partial(dot, width=4), "mlp": partial(mlp, hidden=(6,)), "bilinear": bilinear, "content": content,
    "cosine": partial(cosine, width=4, scale=1.0), "fm": partial(fm, width=4),
    "dcn": partial(dcn, cross=1, hidden=(6,)), "deepfm": partial(deepfm, width=4, hidden=(6,)),
}  # fmt: skip


@pytest.mark.parametrize("make", ALL.values(), ids=ALL)
def test_one_context_for_all_rows_is_that_context_at_each(make):
    scorer = make(widths=(3, 2), rngs=nnx.Rngs(0))
    shared = scorer(Encoding(jnp.array(CONTEXT[:1]), jnp.array(ROW)))
    apart = scorer(Encoding(jnp.tile(CONTEXT[:1], (5, 1)), jnp.array(ROW)))
    np.testing.assert_allclose(shared, apart, rtol=1e-5, atol=1e-6)
    assert shared.shape == (5,)
