"""Multi-layer perceptrons, and labelled support rows as their inputs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, MinLen
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.types import DataSpec, Encoding, Features, Model, Objective, Params, Support

Hidden = Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)]
"""Widths of hidden layers."""


class Dropout(NamedTuple):
    """Dropout of hidden numbers: each is zero with a probability, and scaled up otherwise, so that its mean stays.

    Attributes:
        key: randomness; each layer has its own of it.
        rate: the probability.
    """

    key: PRNGKeyArray
    rate: float


def dropped(x: Float[Array, "*n d"], drop: Dropout | None, layer: int) -> Float[Array, "*n d"]:
    """Apply dropout to the outputs of a layer; None: none."""
    if drop is None:
        return x
    kept = jax.random.bernoulli(jax.random.fold_in(drop.key, layer), 1 - drop.rate, x.shape)
    return jnp.where(kept, x / (1 - drop.rate), 0)


def init(key: PRNGKeyArray, sizes: Sequence[int], *, last: float = 1.0) -> Params:
    """Layers of the given widths, from input to output: kernels of variance 2 / (input width), biases of 0.

    Args:
        key: randomness.
        sizes: at least two widths.
        last: scale of the last kernel: small for outputs that start near 0.
    """
    number = len(sizes) - 1
    scales = [2**0.5] * (number - 1) + [last]
    return {
        f"layer_{i}": {
            "kernel": scales[i] * jax.random.normal(key, (sizes[i], sizes[i + 1])) / sizes[i] ** 0.5,
            "bias": jnp.zeros(sizes[i + 1]),
        }
        for i, key in enumerate(jax.random.split(key, number))
    }


def linear(layer: Params, x: Float[Array, "*n a"]) -> Float[Array, "*n b"]:
    """Apply one layer."""
    return x @ layer["kernel"] + layer["bias"]


def apply(layers: Params, x: Float[Array, "*n a"], drop: Dropout | None = None) -> Float[Array, "*n b"]:
    """Apply all layers, with a ReLU between any two, and dropout where it is given."""
    for i in range(len(layers) - 1):
        x = dropped(jax.nn.relu(linear(layers[f"layer_{i}"], x)), drop, i)
    return linear(layers[f"layer_{len(layers) - 1}"], x)


def joined(encoding: Encoding) -> Float[Array, "n d"]:
    """Concatenate both sides of each row: ``d = dc + dr``."""
    number = len(encoding.row)
    context = jnp.broadcast_to(encoding.context, (number, encoding.context.shape[-1]))
    return jnp.concatenate([context, encoding.row], axis=-1)


def evidence(
    spec: DataSpec, model: Model, objective: Objective, params: Params, context: Features, support: Support
) -> Float[Array, "K d+1"]:
    """Encode support rows for a network: both sides, and the label's difference to the model's prediction.

    From raw labels a network would first have to learn which of them are unexpected. Differences are in half label
    ranges. Padding rows are zeros.
    """
    encoding = model.encode(params, context, support, None)
    expected = objective.predict(model.score(params, encoding))
    surprise = (support.y - expected) / ((spec.high - spec.low) / 2)
    rows = jnp.concatenate([joined(encoding), surprise[:, None]], axis=-1)
    return jnp.where(support.mask[:, None], rows, 0)


def pooled(rows: Float[Array, "K d"], mask: Bool[Array, "K"], log_rows: Float[Array, ""]) -> Float[Array, "d"]:
    """The mean of the rows present and of ``exp(log_rows)`` rows of zeros; zeros where no row is present.

    A plain mean weighs one row as much as twenty; the rows of zeros shrink the mean of few rows.

    >>> pooled(jnp.array([[3.0], [6.0], [9.0]]), jnp.array([True, True, False]), jnp.log(1.0)).tolist()
    [3.0]
    """
    return jnp.where(mask[:, None], rows, 0).sum(0) / (mask.sum() + jnp.exp(log_rows))
