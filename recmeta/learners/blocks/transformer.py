"""A transformer over a set of rows: all rows read the support's, and none reads a query's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.learners.blocks import dense
from recmeta.types import Params


class Read(NamedTuple):
    """The rows that others attend to, as each block has them, and which of them are there."""

    rows: tuple[Float[Array, "m w"], ...]
    mask: Bool[Array, "m"]


def init(key: PRNGKeyArray, width: int, heads: int, likenesses: int) -> Params:
    """Parameters of one block.

    Args:
        key: randomness.
        width: of a row, a multiple of ``heads``.
        heads: of the attention.
        likenesses: measures of how alike two rows are, each of which every head weighs; at first by 0.
    """
    keys = iter(jax.random.split(key, 6))
    maps = {name: dense.init(next(keys), (width, width)) for name in ("query", "key", "value", "out")}
    norms = {name: {"scale": jnp.ones(width), "shift": jnp.zeros(width)} for name in ("before", "between")}
    return {**maps, **norms, "feed": dense.init(next(keys), (width, 2 * width, width)),
            "likeness": jnp.zeros((heads, likenesses))}  # fmt: skip


def apply(
    params: Params,
    rows: Float[Array, "n w"],
    read: Float[Array, "m w"],
    mask: Bool[Array, "m"],
    alike: Float[Array, "s n m"],
    drop: Iterator[PRNGKeyArray | None],
    rate: float,
) -> Float[Array, "n w"]:
    """One block: attention to the rows that are read, and a layer on each row; normed before, added after.

    Args:
        params: from `init`.
        rows: that attend.
        read, mask: that they attend to, and which of these are there; at least one.
        alike: measures of how alike each is to each.
        drop: two keys for dropout; None: nothing is dropped.
        rate: the share that is dropped.
    """
    heads = len(params["likeness"])

    def split(layers: Params, rows: Array) -> Float[Array, "r h w/h"]:
        return dense.apply(layers, rows).reshape(len(rows), heads, -1)

    inner, outer = norm(params["before"], rows), norm(params["before"], read)
    query, keys, value = split(params["query"], inner), split(params["key"], outer), split(params["value"], outer)
    logits = jnp.einsum("nhd,mhd->hnm", query, keys) / query.shape[-1] ** 0.5
    logits += jnp.einsum("hs,snm->hnm", params["likeness"], alike)
    share = jax.nn.softmax(jnp.where(mask, logits, -jnp.inf), axis=-1)
    attended = dense.apply(params["out"], jnp.einsum("hnm,mhd->nhd", share, value).reshape(rows.shape))
    rows = rows + dropped(next(drop), attended, rate)
    fed = feed(params["feed"], norm(params["between"], rows))
    return rows + dropped(next(drop), fed, rate)


def feed(layers: Params, rows: Float[Array, "n a"]) -> Float[Array, "n b"]:
    """Two layers with a GELU between them."""
    return dense.linear(layers["layer_1"], jax.nn.gelu(dense.linear(layers["layer_0"], rows)))


def dropped(key: PRNGKeyArray | None, rows: Array, rate: float) -> Array:
    """Dropout: numbers at random set to 0, the others made larger by as much; nothing without a key."""
    if key is None or rate == 0:
        return rows
    return jnp.where(jax.random.bernoulli(key, 1 - rate, rows.shape), rows / (1 - rate), 0)


def norm(params: Params, rows: Float[Array, "n w"]) -> Float[Array, "n w"]:
    """Layer normalisation."""
    centred = rows - rows.mean(-1, keepdims=True)
    return params["scale"] * centred / jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5) + params["shift"]


def alike(a: Float[Array, "n d"], b: Float[Array, "m d"]) -> Float[Array, "n m"]:
    """The cosine of each two rows; 0 where one is zeros."""

    def unit(rows: Array) -> Array:
        return rows / jnp.sqrt(jnp.square(rows).sum(-1, keepdims=True) + 1e-6)

    return unit(a) @ unit(b).T
