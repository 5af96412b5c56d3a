"""Meta Warm Up Framework: scale a cold embedding by its content and shift it by its support.

With ``protocol.task=item`` the entity is a new item, as in the paper; it may as well be a new user. Its cold embedding
``v`` is one learned vector after gradient steps on the support, without the meta networks; rows are scored with the
warm embedding,

    scale(context) * v + shift(mean of the support rows' representations).

The shift reads the support's entities and no labels; labels enter ``v``.

Changed from the paper: it trains the model first and freezes it, then trains the meta networks on warm predictions and
the cold embeddings on cold ones; here everything is learned on the query, through the steps (for the paper's phases see
``start`` and ``freeze``). The common start is learned, where the paper takes the mean of old items' embeddings; the
scale is 1 plus its network's output; and the embedding is added to the context's representation through a map of its
own, as in `cavia`.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import query_gradient, unless_shallow, with_vector
from recmeta.learners.blocks import dense
from recmeta.types import DataSpec, Encoding, Features, Learner, Model, Objective, Params, Query, Support, Traced


class Warmed(NamedTuple):
    """A task's cold embedding and mean support row, with the parameters needed to score a query."""

    cold: Float[Array, "w"]
    interacted: Float[Array, "dr"]
    params: Params
    context: Features
    support: Support


def mwuf(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    width: Annotated[int, Ge(1)],
    hidden: dense.Hidden,
    inner_steps: Annotated[int, Ge(0)],
    inner_rate: Annotated[float, Gt(0), Traced],
    first_order: bool,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Warm up a new entity's embedding: gradient steps from a common start, then two meta networks.

    Args:
        spec, model, objective: given by recmeta.
        width: of the embedding.
        hidden: widths of the hidden layers of the meta networks.
        inner_steps: gradient steps of the cold embedding.
        inner_rate: their size.
        first_order: leave out the second derivatives.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Zhu et al., Learning to warm up cold item embeddings for cold-start recommendation with meta scaling and
    shifting networks, SIGIR 2021, section 3.
    """
    del spec
    inner = inner_loop.settled(inner, first_order=first_order, unused=inner_loop.VECTOR)
    content, row = model.widths

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_scale, key_shift, key_map = jax.random.split(key, 4)
        embedding = {
            "start": jnp.zeros(width),
            "scale": dense.init(key_scale, (content, *hidden, width), last=0.1),
            "shift": dense.init(key_shift, (row, *hidden, width), last=0.1),
            "map": jax.random.normal(key_map, (width, content)) / width**0.5,
        }
        return model.init(key_model) | {"embedding": embedding}

    def score(params: Params, embedding: Array, encoding: Encoding) -> Float[Array, "n"]:
        return model.score(params, with_vector(encoding, embedding, params["embedding"]["map"]))

    def adapt(params, context, support, depth=None) -> Warmed:
        encoding = model.encode(params, context, support, None)

        def loss(cold: Params) -> Array:
            return objective.loss(score(params, cold, encoding), support.y, support.mask)

        start = params["embedding"]["start"]
        cold, _ = inner_loop.descend(jax.grad(loss), start, inner, steps=inner_steps, rate=inner_rate, depth=depth)
        return Warmed(cold, mean_row(encoding.row, unless_shallow(support, depth).mask), params, context, support)

    def predict(fast: Warmed, query: Query) -> Float[Array, "n"]:
        encoding, networks = model.encode(fast.params, fast.context, fast.support, query.x), fast.params["embedding"]
        scale = 1 + dense.apply(networks["scale"], encoding.context)
        warm = scale * fast.cold + dense.apply(networks["shift"], fast.interacted)
        return score(fast.params, warm, encoding)

    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), inner_steps)


def mean_row(rows: Float[Array, "K d"], mask: Bool[Array, "K"]) -> Float[Array, "d"]:
    """The mean of the rows present; zeros where no row is present."""
    return jnp.where(mask[:, None], rows, 0).sum(0) / jnp.maximum(mask.sum(), 1)
