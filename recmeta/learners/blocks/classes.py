"""Classes of rating levels: a place for each class in one task, from its rows and a prior."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from recmeta.types import DataSpec, Features, Model, Params, Support

Classes = Literal["rating", "liked"]
""""rating": a class per distinct label; "liked": labels from the data set's ``like`` on, and those below."""


class LabelClasses(NamedTuple):
    """The classes, ascending: the mean label of each, and the lower edges of all but the first."""

    values: Float[Array, "L"]
    edges: Float[Array, "L-1"]

    def one_hot(self, support: Support) -> Float[Array, "K L"]:
        """One-hot class of each row: the last class whose lower edge is at or below its label. Padding has none."""
        place = jnp.searchsorted(self.edges, support.y, side="right")
        return jax.nn.one_hot(place, len(self.values)) * support.mask[:, None]


def make_levels(spec: DataSpec, classes: Classes) -> LabelClasses:
    """Make the classes of a data set's labels; a class without labels is left out."""
    groups = [[level] for level in spec.levels]
    if classes == "liked":
        halves = [[x for x in spec.levels if x < spec.like], [x for x in spec.levels if x >= spec.like]]
        groups = [half for half in halves if half]
    return LabelClasses(
        jnp.array([sum(group) / len(group) for group in groups]), jnp.array([group[0] for group in groups][1:])
    )


def prior_places(key: Array, levels: LabelClasses, width: int) -> Params:
    """Learned prior of each class: its place, the number of rows it counts as, and its label."""
    number = len(levels.values)
    place = 0.1 * jax.random.normal(key, (number, width))
    return {"place": place, "log_rows": jnp.zeros(number), "value": levels.values}


def places(prior: Params, rows: Float[Array, "K d"], member: Float[Array, "K L"]) -> tuple[Array, Array]:
    """The place of each class ``[L, d]``, the mean of its rows and its prior, and its number of rows ``[L]``."""
    weight = jnp.exp(prior["log_rows"])
    total = member.sum(0) + weight
    return (member.T @ rows + weight[:, None] * prior["place"]) / total[:, None], total


def embed(model: Model, params: Params, context: Features, support: Support, x: Features | None) -> Array:
    """Embed rows in the space of the classes: a linear map, ``params["space"]``, of both sides ``[n, d]``."""
    encoding = model.encode(params, context, support, x)
    width = model.widths[0]
    return encoding.context @ params["space"][:width] + encoding.row @ params["space"][width:]
