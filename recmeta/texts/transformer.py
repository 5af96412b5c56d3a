"""The BERT transformer as a pure function of its weights: token ids to one vector a text.

Shapes: ``B`` texts, ``L`` tokens of each, ``d`` width, ``h`` heads, ``N`` layers.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from recmeta.types import UserError

Weights = Mapping[str, Array]
"""Arrays by name: those of the embeddings, and of each part of a layer with the layers along the first axis."""

EMBEDDINGS = {
    "word": "embeddings.word_embeddings.weight",
    "position": "embeddings.position_embeddings.weight",
    "type": "embeddings.token_type_embeddings.weight",
    "norm.scale": "embeddings.LayerNorm.weight",
    "norm.shift": "embeddings.LayerNorm.bias",
}
"""Our names of the arrays before the layers, and those of the published file."""

LAYERS = {
    "query": "attention.self.query",
    "key": "attention.self.key",
    "value": "attention.self.value",
    "attended": "attention.output.dense",
    "attended.norm": "attention.output.LayerNorm",
    "wide": "intermediate.dense",
    "narrow": "output.dense",
    "narrow.norm": "output.LayerNorm",
}
"""Our names of a layer's parts, and those of the published file; each has a weight and a bias."""


class Shape(NamedTuple):
    """Sizes that the weights do not have: the heads of attention, and the epsilon of layer normalisation."""

    heads: int
    epsilon: float


def make_weights(published: Mapping[str, np.ndarray], layers: int) -> Weights:
    """Rename, transpose and stack published arrays.

    Args:
        published: array by its name in the file, with or without "bert." before it.
        layers: how many there are.

    Raises:
        UserError: one is missing.
    """
    arrays = {name.removeprefix("bert."): value for name, value in published.items()}

    def of(name: str) -> np.ndarray:
        if name not in arrays:
            raise UserError(f"the weights have no {name}; they must be a BERT encoder's, as all-MiniLM-L6-v2's are")
        return arrays[name].astype(np.float32)

    def stacked(name: str) -> np.ndarray:
        return np.stack([of(f"encoder.layer.{layer}.{name}") for layer in range(layers)])

    made = {name: of(theirs) for name, theirs in EMBEDDINGS.items()}
    for name, theirs in LAYERS.items():
        weight = stacked(f"{theirs}.weight")
        # Published matrices are [outs, ins].
        made[f"layer.{name}.scale"] = weight if weight.ndim == 2 else weight.swapaxes(1, 2)
        made[f"layer.{name}.shift"] = stacked(f"{theirs}.bias")
    return {name: jnp.asarray(value) for name, value in made.items()}


@partial(jax.jit, static_argnames="shape")
def encode_tokens(
    weights: Weights, tokens: Int[Array, "B L"], mask: Bool[Array, "B L"], *, shape: Shape
) -> Float[Array, "B d"]:
    """Encode texts: the mean of the last layer's tokens, of unit length.

    Args:
        weights: of `make_weights`.
        tokens: ids, anything where there is none.
        mask: which tokens are there.
        shape: of the encoder.

    Reference: Devlin et al., BERT, NAACL 2019 (the layers); Reimers and Gurevych, Sentence-BERT, EMNLP-IJCNLP 2019,
    section 3 (the mean over tokens).
    """
    # On accelerators, products of single precision are of less unless asked for.
    with jax.default_matmul_precision("highest"):
        hidden = embed_tokens(weights, tokens, shape.epsilon)
        layers = {name.removeprefix("layer."): value for name, value in weights.items() if name.startswith("layer.")}
        hidden = jax.lax.scan(lambda x, layer: (apply_layer(layer, x, mask, shape), None), hidden, layers)[0]
        there = mask[..., None]
        mean = (hidden * there).sum(1) / jnp.maximum(there.sum(1), 1)
        return mean / jnp.maximum(jnp.linalg.norm(mean, axis=-1, keepdims=True), 1e-12)


def embed_tokens(weights: Weights, tokens: Int[Array, "B L"], epsilon: float) -> Float[Array, "B L d"]:
    """Add the embeddings of tokens, of their places and of the only segment, and normalise."""
    x = weights["word"][tokens] + weights["position"][: tokens.shape[1]] + weights["type"][0]
    return _normalise(x, weights["norm.scale"], weights["norm.shift"], epsilon)


def apply_layer(layer: Weights, x: Float[Array, "B L d"], mask: Bool[Array, "B L"], shape: Shape) -> Array:
    """Apply attention over all tokens that are there, then a dense layer with GELU; each is added and normalised."""

    def dense(name: str, x: Array) -> Array:
        return x @ layer[f"{name}.scale"] + layer[f"{name}.shift"]

    def normalised(name: str, x: Array) -> Array:
        return _normalise(x, layer[f"{name}.norm.scale"], layer[f"{name}.norm.shift"], shape.epsilon)

    def by_head(x: Array) -> Float[Array, "B L h e"]:
        return x.reshape(*x.shape[:-1], shape.heads, -1)

    query, key, value = (by_head(dense(name, x)) for name in ("query", "key", "value"))
    scores = jnp.einsum("blhe,bmhe->bhlm", query, key) / query.shape[-1] ** 0.5
    share = jax.nn.softmax(jnp.where(mask[:, None, None, :], scores, jnp.finfo(scores.dtype).min))
    mixed = jnp.einsum("bhlm,bmhe->blhe", share, value).reshape(x.shape)
    x = normalised("attended", x + dense("attended", mixed))
    return normalised("narrow", x + dense("narrow", jax.nn.gelu(dense("wide", x), approximate=False)))


def _normalise(x: Array, scale: Array, shift: Array, epsilon: float) -> Array:
    middle = x - x.mean(-1, keepdims=True)
    return middle / jnp.sqrt((middle**2).mean(-1, keepdims=True) + epsilon) * scale + shift
