"""DropoutNet: one network for warm and cold, trained with preferences and ids dropped at random."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Le
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import Visit, mean_gradient, query_loss, unless_shallow, visits
from recmeta.types import Batch, DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Task, Traced


class Preference(NamedTuple):
    """One task's preference vector, which represents the user, with the parameters needed to score a query."""

    vector: Float[Array, "d"]
    params: Params
    context: Features
    support: Support


def dropoutnet(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    dropout: Annotated[float, Ge(0), Le(1), Traced],
) -> Learner:
    """Score rows from the user's preference and features and the item's id and features, any of which may be missing.

    A new user's preference is the mean of its rated rows' representations, each weighted by its label's difference to
    the mean; the score is the scorer's, plus the inner product of the preference and the row in a learned map. In
    training, a task's preference is dropped with probability ``dropout``, and so, independently, are its rows' ids. Two
    changes from the paper: representations are learned together with the network, where the paper takes those of a
    factorisation fitted beforehand; and labels are regressed, where the paper regresses that factorisation's scores.

    Args:
        spec, model, objective: given by recmeta.
        dropout: probability of dropping each of the two in training.

    Reference: Volkovs et al., DropoutNet: Addressing cold start in recommender systems, NeurIPS 2017, section 3.2
    (equations 2 to 4).
    """
    width = model.widths[1]

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_map = jax.random.split(key)
        # Small: at first the preference contributes little, and the prediction is the scorer's.
        return model.init(key_model) | {"preference": 0.1 * jax.random.normal(key_map, (width, width)) / width**0.5}

    def adapt(params, context, support, depth=None) -> Preference:
        seen = unless_shallow(support, depth)
        rows = model.encode(params, context, support, None).row
        weight = jnp.where(seen.mask, seen.y - spec.mean, 0)
        vector = weight @ rows / jnp.maximum(seen.mask.sum(), 1)
        return Preference(vector, params, context, support)

    def predict(fast: Preference, query: Query) -> Float[Array, "n"]:
        encoding = model.encode(fast.params, fast.context, fast.support, query.x)
        return model.score(fast.params, encoding) + encoding.row @ (fast.params["preference"] @ fast.vector)

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        number = len(batch.label)
        keep_user, keep_ids = jax.random.bernoulli(key, 1 - dropout, (2, number))

        def one(params: Params, task: Task, label: Array, keep_user: Array, keep_ids: Array, visit: Visit) -> Array:
            support = task.support._replace(x=without_ids(task.support.x, keep_ids), mask=task.support.mask & keep_user)
            query = task.query._replace(x=without_ids(task.query.x, keep_ids))
            return query_loss(objective, predict, adapt(params, task.context, support), query, label, visit)

        return mean_gradient(one, params, batch, keep_user, keep_ids, visits(batch, key))

    return Learner(init, adapt, predict, meta_grad, 1)


def without_ids(x: Features, keep: Array) -> Features:
    """Set rows' ids to unknown unless ``keep``; the other features stay."""
    return {**x, "id": jnp.where(keep, x["id"], 0)} if "id" in x else x
