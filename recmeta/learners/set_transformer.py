"""Set transformer: support rows attend to each other, and query rows to them.

The labelled support rows pass through induced self-attention (`isab`) and are pooled to one vector by a learned seed's
attention (PMA); a query row attends to them; and a decoder g reads both beside each other:

    score(x) = scorer(x) + g(x attends to S, pooled S) - g(x attends to nothing, pooled nothing).

A mean (`cnp`) gives every query row the same summary; here each row attends to similar support rows. Cost: ``inducing``
x K per block and n x K for the query, where full self-attention has K x K.

Changed from the paper, which only pools a set: query rows read the set, as in attentive neural processes. One learned
row, "nothing", is always in the set, so that attention to an empty support is defined. Labels enter as differences to
the scorer's prediction, and the scorer gives the prediction without support, both as in `cnp`.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient, unless_shallow
from recmeta.learners.blocks import dense
from recmeta.types import DataSpec, Features, Learner, Model, Objective, Params, Query, Support


class EncodedSet(NamedTuple):
    """Rows to attend to, their mask, and the one vector that they are pooled to."""

    rows: Float[Array, "K+1 w"]
    mask: Bool[Array, "K+1"]
    pooled: Float[Array, "1 w"]


class Attended(NamedTuple):
    """The encoded support and an encoded empty one, with the parameters needed to score a query."""

    own: EncodedSet
    none: EncodedSet
    params: Params
    context: Features
    support: Support


def set_transformer(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    heads: Annotated[int, Ge(1)],
    head_width: Annotated[int, Ge(1)],
    inducing: Annotated[int, Ge(1)],
    blocks: Annotated[int, Ge(0)],
    hidden: dense.Hidden,
) -> Learner:
    """Score a row by the scorer, plus its attention to the support's rows and to their pooled vector.

    Args:
        spec, model, objective: given by recmeta.
        heads: heads of each attention.
        head_width: width of each head; rows are heads x head_width wide.
        inducing: number of learned inducing points that each self-attention passes through.
        blocks: number of self-attention blocks over the support.
        hidden: widths of the decoder's hidden layers.

    Reference: Lee et al., Set Transformer, ICML 2019, equations 6, 7 (MAB) and 9 to 11 (ISAB, PMA); Kim et al.,
    Attentive neural processes, ICLR 2019, section 3 (queries attend to the context).
    """
    width = heads * head_width

    def init(key: PRNGKeyArray) -> Params:
        keys = iter(jax.random.split(key, 11 + blocks))
        part = init_attention(keys, sum(model.widths), width, inducing, blocks, hidden)
        return model.init(next(keys)) | {"attention": part}

    def memory(params: Params, rows: Float[Array, "K w"], mask: Bool[Array, "K"]) -> EncodedSet:
        rows = jnp.concatenate([params["nothing"], rows])
        mask = jnp.concatenate([jnp.ones(1, bool), mask])
        for i in range(blocks):
            rows = isab(params["blocks"][f"block_{i}"], rows, mask, heads)
        pooled = mab(params["pooling"], params["seed"], dense.apply(params["before_pooling"], rows), mask, heads)
        return EncodedSet(rows, mask, pooled)

    def adapt(params, context, support, depth=None) -> Attended:
        own = params["attention"]
        evidence = dense.evidence(spec, model, objective, params, context, support)
        rows, mask = dense.apply(own["support"], evidence), unless_shallow(support, depth).mask
        return Attended(memory(own, rows, mask), memory(own, rows[:0], mask[:0]), params, context, support)

    def read(params: Params, rows: Float[Array, "n w"], memory: EncodedSet) -> Float[Array, "n"]:
        found = mab(params["reading"], rows, memory.rows, memory.mask, heads)
        pooled = jnp.broadcast_to(memory.pooled, found.shape)
        return dense.apply(params["decoder"], jnp.concatenate([found, pooled], axis=-1))[:, 0]

    def predict(fast: Attended, query: Query) -> Float[Array, "n"]:
        own = fast.params["attention"]
        encoding = model.encode(fast.params, fast.context, fast.support, query.x)
        rows = dense.apply(own["query"], dense.joined(encoding))
        return model.score(fast.params, encoding) + read(own, rows, fast.own) - read(own, rows, fast.none)

    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1)


def init_attention(
    keys: Iterator[PRNGKeyArray], number: int, width: int, inducing: int, blocks: int, hidden: Sequence[int]
) -> Params:
    """Initialise the maps of rows, the attention blocks and the decoder.

    Args:
        keys: a key for each part.
        number: width of both sides of a row.
        width: of the rows of the set.
        inducing, blocks, hidden: settings of `set_transformer`.
    """
    return {
        "support": dense.init(next(keys), (number + 1, width)),
        "query": dense.init(next(keys), (number, width)),
        "nothing": jax.random.normal(next(keys), (1, width)),
        "blocks": {f"block_{i}": init_isab(next(keys), width, inducing) for i in range(blocks)},
        "seed": jax.random.normal(next(keys), (1, width)),
        "before_pooling": dense.init(next(keys), (width, width, width)),
        "pooling": init_mab(next(keys), width),
        "reading": init_mab(next(keys), width),
        # Small: at first the support contributes little, and the prediction is the scorer's.
        "decoder": dense.init(next(keys), (2 * width, *hidden, 1), last=0.1),
    }


def init_mab(key: PRNGKeyArray, width: int) -> Params:
    """Parameters of `mab`."""
    *keys, key_feed = jax.random.split(key, 5)
    maps = {
        name: jax.random.normal(key, (width, width)) / width**0.5
        for name, key in zip(("query", "key", "value", "out"), keys, strict=True)
    }
    norms = {name: {"scale": jnp.ones(width), "shift": jnp.zeros(width)} for name in ("norm_attended", "norm_fed")}
    return maps | norms | {"feed": dense.init(key_feed, (width, width, width))}


def init_isab(key: PRNGKeyArray, width: int, inducing: int) -> Params:
    """Parameters of `isab`."""
    key_points, key_in, key_out = jax.random.split(key, 3)
    points = jax.random.normal(key_points, (inducing, width))
    return {"points": points, "in": init_mab(key_in, width), "out": init_mab(key_out, width)}


def attend(
    params: Params, x: Float[Array, "n w"], y: Float[Array, "m w"], mask: Bool[Array, "m"], heads: int
) -> Float[Array, "n w"]:
    """Multi-head attention of the rows x to the present rows of y, of which there must be at least one."""

    def split(rows: Array) -> Float[Array, "r h w/h"]:
        return rows.reshape(len(rows), heads, -1)

    query, key, value = split(x @ params["query"]), split(y @ params["key"]), split(y @ params["value"])
    logits = jnp.einsum("nhd,mhd->hnm", query, key) / query.shape[-1] ** 0.5
    share = jax.nn.softmax(jnp.where(mask, logits, -jnp.inf), axis=-1)
    return jnp.einsum("hnm,mhd->nhd", share, value).reshape(x.shape) @ params["out"]


def mab(
    params: Params, x: Float[Array, "n w"], y: Float[Array, "m w"], mask: Bool[Array, "m"], heads: int
) -> Float[Array, "n w"]:
    """Multi-head attention block (equations 6 and 7): x attends to y, then a feed-forward layer; each added, normed."""
    attended = norm(params["norm_attended"], x + attend(params, x, y, mask, heads))
    return norm(params["norm_fed"], attended + dense.apply(params["feed"], attended))


def isab(params: Params, rows: Float[Array, "m w"], mask: Bool[Array, "m"], heads: int) -> Float[Array, "m w"]:
    """Induced set attention block (equations 9 and 10): inducing points attend to the rows, then the rows to them."""
    points = mab(params["in"], params["points"], rows, mask, heads)
    return mab(params["out"], rows, points, jnp.ones(len(points), bool), heads)


def norm(params: Params, x: Float[Array, "n w"]) -> Float[Array, "n w"]:
    """Layer normalisation."""
    centred = x - x.mean(-1, keepdims=True)
    return params["scale"] * centred / jnp.sqrt(jnp.square(centred).mean(-1, keepdims=True) + 1e-5) + params["shift"]
