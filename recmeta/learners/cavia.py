"""CAVIA: adapt only a small context vector; all parameters are shared by all tasks.

Changed from the paper, which concatenates the vector with the inputs of the first layer: here it is added to the
context's representation through a map of its own. To a scorer that begins with linear maps of the context (both here
do) this is the same, with the map times their weights in place of the paper's weights.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import query_gradient, with_vector
from recmeta.types import DataSpec, Encoding, Features, Learner, Model, Objective, Params, Query, Support, Traced


class Placed(NamedTuple):
    """One task's context vector, with the parameters and support needed to score a query."""

    vector: Float[Array, "d"]
    params: Params
    context: Features
    support: Support


def cavia(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    width: Annotated[int, Ge(1)],
    inner_steps: Annotated[int, Ge(0)],
    inner_rate: Annotated[float, Gt(0), Traced],
    first_order: bool,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Adapt a vector per task, from zero, that is added to the context's representation by a learned map.

    Args:
        spec, model, objective: given by recmeta.
        width: of the vector.
        inner_steps: gradient steps on the support.
        inner_rate: their size.
        first_order: leave out the second derivatives.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Zintgraf et al., Fast context adaptation via meta-learning, ICML 2019, equations 5 to 7.
    """
    del spec
    inner = inner_loop.settled(inner, first_order=first_order, unused=inner_loop.VECTOR)
    context_width = model.widths[0]

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_map = jax.random.split(key)
        # Not zero: the vector starts there, and in a product of two zeros neither would ever move.
        return model.init(key_model) | {"context_map": jax.random.normal(key_map, (width, context_width)) / width**0.5}

    def score(params: Params, vector: Array, encoding: Encoding) -> Float[Array, "n"]:
        return model.score(params, with_vector(encoding, vector, params["context_map"]))

    def adapt(params, context, support, depth=None) -> Placed:
        encoding = model.encode(params, context, support, None)

        def loss(vector: Params) -> Array:
            return objective.loss(score(params, vector, encoding), support.y, support.mask)

        start = jnp.zeros(width, params["context_map"].dtype)
        vector, _ = inner_loop.descend(
            jax.grad(loss), start, inner, steps=inner_steps, rate=inner_rate, depth=depth,
        )  # fmt: skip
        return Placed(vector, params, context, support)

    def predict(fast: Placed, query: Query) -> Float[Array, "n"]:
        return score(fast.params, fast.vector, model.encode(fast.params, fast.context, fast.support, query.x))

    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), inner_steps)
