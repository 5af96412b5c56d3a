"""Relation networks for ratings: a learned comparison of a row with a representative of each rating level."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient, unless_shallow
from recmeta.learners.blocks.classes import Classes, embed, make_levels, places, prior_places
from recmeta.types import DataSpec, Features, Learner, Model, Objective, Params, Query, Support


class Compared(NamedTuple):
    """One task's class representatives and their share of support, with the parameters needed to score a query."""

    place: Float[Array, "L d"]
    share: Float[Array, "L"]
    params: Params
    context: Features
    support: Support


def relation(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    classes: Classes,
    width: Annotated[int, Ge(1)],
    hidden: Annotated[int, Ge(1)],
) -> Learner:
    """Score by a learned network how well a row fits each class; predict the classes' expected label.

    The relation module reads the row's embedding and the class' side by side, as in the paper. The changes make it fit
    for ratings: a few support rows leave most classes empty, so a class is the mean of its support rows and of a
    learned prior place with a learned weight (in rows), and the module reads the share of the support's rows in it;
    relation scores go through a softmax over the classes, whose learned label values (initially the mean label of the
    class) are averaged with it, where the paper takes the class of the highest of independent sigmoids and regresses
    those to 0 and 1. The scorer is not used.

    Args:
        spec, model, objective: given by recmeta.
        classes: "rating": each distinct label. "liked": labels from the data set's ``like`` on, and those below.
        width: of the embeddings that are compared.
        hidden: width of the relation module's one hidden layer.

    Reference: Sung et al., Learning to compare: relation network for few-shot learning, CVPR 2018, equation 1.
    """
    levels = make_levels(spec, classes)

    def init(key: PRNGKeyArray) -> Params:
        key_model, *keys = jax.random.split(key, 6)
        params = {name: part for name, part in model.init(key_model).items() if name != "scorer"}
        shapes = {"space": (sum(model.widths), width), "row": (width, hidden), "class": (width, hidden)}
        maps = {name: _lecun(k, shape) for k, (name, shape) in zip(keys, shapes.items(), strict=False)}
        compare = {"share": jnp.zeros(hidden), "bias": jnp.zeros(hidden), "out": _lecun(keys[3], (hidden,))}
        prior = prior_places(keys[4], levels, width)
        return params | {"space": maps.pop("space"), "relation": maps | compare, "classes": prior}

    def adapt(params, context, support, depth=None) -> Compared:
        seen = unless_shallow(support, depth)
        member = levels.one_hot(seen)
        place, total = places(params["classes"], embed(model, params, context, support, None), member)
        return Compared(place, member.sum(0) / total, params, context, support)

    def predict(fast: Compared, query: Query) -> Float[Array, "n"]:
        rows = embed(model, fast.params, fast.context, fast.support, query.x)
        score = relate(fast.params["relation"], rows, fast.place, fast.share)
        return objective.link(jax.nn.softmax(score, axis=-1) @ fast.params["classes"]["value"])

    departs = (("paper", "regression"),)
    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1, departs=departs)


def relate(
    weights: Params, rows: Float[Array, "n d"], places: Float[Array, "L d"], share: Float[Array, "L"]
) -> Float[Array, "n L"]:
    """The relation score of each row with each class: one ReLU layer over both, concatenated, and a linear output.

    The layer's weights are split, so that a row's part is computed once and not once per class.

    Args:
        weights: "row" and "class" ``[d, h]``, "share", "bias" and "out" ``[h]``.
        rows: embeddings of the rows.
        places: embeddings of the classes.
        share: the support's share in each class' place, 0 to 1.
    """
    of_class = places @ weights["class"] + share[:, None] * weights["share"] + weights["bias"]
    return jax.nn.relu((rows @ weights["row"])[:, None] + of_class) @ weights["out"]


def _lecun(key: PRNGKeyArray, shape: tuple[int, ...]) -> Array:
    return jax.random.normal(key, shape) / jnp.sqrt(shape[0])
