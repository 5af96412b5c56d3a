"""Prototypical networks for ratings: a prototype per rating level, and the expected level as the prediction."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient, unless_shallow
from recmeta.learners.blocks.classes import Classes, embed, make_levels, places, prior_places
from recmeta.types import DataSpec, Features, Learner, Model, Objective, Params, Query, Support


class Prototypes(NamedTuple):
    """One task's prototypes ``[L, d]``, with the parameters needed to place a query among them."""

    place: Float[Array, "L d"]
    params: Params
    context: Features
    support: Support


def protonet(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    classes: Classes,
    width: Annotated[int, Ge(1)],
) -> Learner:
    """Classify rows by their squared distance to class prototypes; predict the classes' expected label.

    Two changes make it fit for ratings: a few support rows leave most classes empty, so each prototype is the mean of
    its support rows and of a learned prior place with a learned weight (in rows); and each class has a learned label
    value, initially the mean label of the class. The scorer is not used.

    Args:
        spec, model, objective: given by recmeta.
        classes: "rating": each distinct label. "liked": labels from the data set's ``like`` on, and those below.
        width: of the space that distances are measured in.

    Reference: Snell et al., Prototypical networks for few-shot learning, NeurIPS 2017, equations 1 and 2.
    """
    levels = make_levels(spec, classes)

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_space, key_place = jax.random.split(key, 3)
        params = {name: part for name, part in model.init(key_model).items() if name != "scorer"}
        widths = sum(model.widths)
        space = jax.random.normal(key_space, (widths, width)) / jnp.sqrt(widths)
        prior = prior_places(key_place, levels, width) | {"log_scale": jnp.zeros(())}
        return params | {"prototypes": prior, "space": space}

    def adapt(params, context, support, depth=None) -> Prototypes:
        seen = unless_shallow(support, depth)
        rows = embed(model, params, context, support, None)
        place, _ = places(params["prototypes"], rows, levels.one_hot(seen))
        return Prototypes(place, params, context, support)

    def predict(fast: Prototypes, query: Query) -> Float[Array, "n"]:
        rows = embed(model, fast.params, fast.context, fast.support, query.x)
        distance = jnp.square(rows[:, None] - fast.place).sum(-1)
        prior = fast.params["prototypes"]
        chance = jax.nn.softmax(-jnp.exp(prior["log_scale"]) * distance, axis=-1)
        return objective.link(chance @ prior["value"])

    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1)
