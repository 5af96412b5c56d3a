"""Matching networks for ratings: attention over the support's labels, with a prior mean as one more support row."""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient, unless_shallow
from recmeta.types import DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Traced


class SupportMemory(NamedTuple):
    """One task's support as keys and values, with the parameters needed to look up a query."""

    key: Float[Array, "K d"]
    value: Float[Array, "K"]
    there: Bool[Array, "K"]
    params: Params
    context: Features
    support: Support


def matching(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    values: Literal["residual", "label"],
    width: Annotated[int, Ge(1)],
    temperature: Annotated[float, Gt(0), Traced],
) -> Learner:
    """Predict a row's label as the mean of the support's, weighted by a softmax of cosine similarities.

    The paper's support has many classes and is never empty; here it has a few rows or none. So the prior mean (the
    scorer's unadapted prediction) is one more row of the support, whose weight in the softmax is learned, in rows of
    similarity 0: with no support it is the prediction. Three more changes: the temperature of the softmax is learned;
    support and query are embedded alike and each row by itself (no "full context embeddings", under which the order of
    the support matters); and with ``values`` "residual" the average is over each support label's residual from the
    prior mean of its row, and is added to the prior mean of the query's. "label" is the paper's.

    Args:
        spec, model, objective: given by recmeta.
        values: see above.
        width: of the space that similarities are measured in, reached by a learned linear map.
        temperature: its initial value; cosines are divided by it.

    Reference: Vinyals et al., Matching networks for one shot learning, NeurIPS 2016, equation 1 and section 2.1.1.
    """
    del spec

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_space = jax.random.split(key)
        space = jax.random.normal(key_space, (model.widths[1], width)) / jnp.sqrt(model.widths[1])
        weigh = {"log_temperature": jnp.log(jnp.array(temperature)), "log_rows": jnp.zeros(())}
        return model.init(key_model) | {"space": space, "attention": weigh}

    def represent(params: Params, context: Features, support: Support, x: Features | None):
        encoding = model.encode(params, context, support, x)
        return unit(encoding.row @ params["space"]), objective.predict(model.score(params, encoding))

    def adapt(params, context, support, depth=None) -> SupportMemory:
        seen = unless_shallow(support, depth)
        key, prior = represent(params, context, support, None)
        value = seen.y - prior if values == "residual" else seen.y
        return SupportMemory(key, jnp.where(seen.mask, value, 0), seen.mask, params, context, support)

    def predict(fast: SupportMemory, query: Query) -> Float[Array, "n"]:
        key, prior = represent(fast.params, fast.context, fast.support, query.x)
        own = fast.params["attention"]
        similarity = key @ fast.key.T / jnp.exp(own["log_temperature"])
        weight, rest = attend(similarity, fast.there, own["log_rows"])
        return objective.link(weight @ fast.value + (prior if values == "residual" else rest * prior))

    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1)


def unit(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Scale rows to length 1; rows shorter than about 0.001 (entities without known features) stay near 0.

    >>> unit(jnp.array([[3.0, 4.0], [0.0, 0.0]])).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return rows / jnp.sqrt(jnp.square(rows).sum(-1, keepdims=True) + 1e-6)


def attend(
    similarity: Float[Array, "n K"], there: Bool[Array, "K"], prior: Float[Array, ""]
) -> tuple[Float[Array, "n K"], Float[Array, "n"]]:
    """Softmax over the support rows present and one more row, the prior's.

    Args:
        similarity: of each query row to each support row, over the temperature.
        there: which support rows are present.
        prior: the similarity of the prior's row to every query row.

    Returns:
        The weights of the support rows, and of the prior's row.
    """
    logits = jnp.where(there, similarity, -jnp.inf)
    logits = jnp.concatenate([logits, jnp.broadcast_to(prior, (len(logits), 1))], axis=1)
    weight = jax.nn.softmax(logits, axis=1)
    return weight[:, :-1], weight[:, -1]
