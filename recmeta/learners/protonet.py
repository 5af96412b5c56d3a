"""Prototypical networks for ratings: a prototype per rating level, and the expected level as the prediction.

Trained as the paper's classifier, by the cross entropy of the levels, or as a regression, by the objective's loss of
the expected level. Both predict the expected level.
"""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient, unless_shallow
from recmeta.learners.blocks.classes import (
    REAL_VALUED,
    Classes,
    ClassLoss,
    class_gradient,
    embed,
    is_classified,
    make_levels,
    places,
    prior_places,
)
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
    loss: ClassLoss = "auto",
) -> Learner:
    """Classify rows by their squared distance to class prototypes; predict the classes' expected label.

    Two changes make it fit for ratings: a few support rows leave most classes empty, so each prototype is the mean of
    its support rows and of a learned prior place with a learned weight (in rows); and each class has a label value,
    the mean label of the class, which a regression goes on to learn. Distances are multiplied by a learned scale. The
    scorer is not used.

    Args:
        spec, model, objective: given by recmeta.
        classes: "rating": each distinct label. "liked": labels from the data set's ``like`` on, and those below.
        width: of the space that distances are measured in.
        loss: see `recmeta.learners.blocks.classes.ClassLoss`; "class" is the paper's.

    Reference: Snell et al., Prototypical networks for few-shot learning, NeurIPS 2017, equations 1 and 2.
    """
    levels = make_levels(spec, classes)
    classified = is_classified(loss, spec, objective, classes)

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

    def log_chance(fast: Prototypes, query: Query) -> Float[Array, "n L"]:
        rows = embed(model, fast.params, fast.context, fast.support, query.x)
        distance = jnp.square(rows[:, None] - fast.place).sum(-1)
        return jax.nn.log_softmax(-jnp.exp(fast.params["prototypes"]["log_scale"]) * distance, axis=-1)

    def predict(fast: Prototypes, query: Query) -> Float[Array, "n"]:
        return objective.link(jnp.exp(log_chance(fast, query)) @ fast.params["prototypes"]["value"])

    if classified:
        return Learner(init, adapt, predict, class_gradient(adapt, log_chance, levels), 1, ignores=("objective",))
    notes = (REAL_VALUED.format("protonet"),) if loss == "auto" and not spec.discrete else ()
    departs = (("learner.loss", "regression"),)
    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1, notes=notes, departs=departs)
