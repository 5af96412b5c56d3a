"""Classes of rating levels: a place for each class in one task, from its rows and a prior; and their likelihood."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, PRNGKeyArray

from recmeta.learners.adaptation.episode import mean_gradient
from recmeta.objectives.pointwise import masked_mean
from recmeta.types import Batch, DataSpec, Features, Model, Objective, Params, Support, Task

Classes = Literal["rating", "liked"]
""""rating": a class per distinct label; "liked": labels from the data set's ``like`` on, and those below."""


ClassLoss = Literal["auto", "class", "objective"]
"""How a classifier of levels is trained. "class": by the cross entropy of the classes, as a classifier's paper has it.
"objective": by the objective's loss of the expected label. "auto": by the classes where labels are few levels, and the
objective compares a score with a label."""

REAL_VALUED = "{}: labels have more than a few levels, so it is trained on the expected label, not as a classifier"
"""Note to a run of a classifier on labels that are no classes."""


class LabelClasses(NamedTuple):
    """The classes, ascending: the mean label of each, and the lower edges of all but the first."""

    values: Float[Array, "L"]
    edges: Float[Array, "L-1"]

    def number(self, label: Float[Array, "n"]) -> Int[Array, "n"]:
        """The class of each label: the last one whose lower edge is at or below it."""
        return jnp.searchsorted(self.edges, label, side="right")

    def one_hot(self, support: Support) -> Float[Array, "K L"]:
        """One-hot class of each row. Padding has none."""
        return jax.nn.one_hot(self.number(support.y), len(self.values)) * support.mask[:, None]


def make_levels(spec: DataSpec, classes: Classes) -> LabelClasses:
    """Make the classes of a data set's labels; a class without labels is left out."""
    groups = [[level] for level in spec.levels]
    if classes == "liked":
        halves = [[x for x in spec.levels if x < spec.like], [x for x in spec.levels if x >= spec.like]]
        groups = [half for half in halves if half]
    return LabelClasses(
        jnp.array([sum(group) / len(group) for group in groups]), jnp.array([group[0] for group in groups][1:])
    )


def is_classified(loss: ClassLoss, spec: DataSpec, objective: Objective, classes: Classes = "rating") -> bool:
    """Whether a classifier is trained by the likelihood of its classes; see `ClassLoss`."""
    compares = objective.rates and not objective.negatives
    return loss == "class" or (loss == "auto" and compares and (spec.discrete or classes == "liked"))


def class_gradient(adapt: Callable[..., Any], log_chance: Callable[..., Array], levels: LabelClasses):
    """Build a ``meta_grad``: of the mean cross entropy of the query rows' classes; rows all count alike.

    Args:
        adapt: ``(params, context, support) -> fast``.
        log_chance: ``(fast, query) -> [n, L]``, the log-probability of each class.
        levels: the classes.
    """

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def episode(params: Params, task: Task, label: Array) -> Array:
            chance = log_chance(adapt(params, task.context, task.support), task.query)
            own = jnp.take_along_axis(chance, levels.number(label)[:, None], axis=1)[:, 0]
            return masked_mean(-own, task.query.mask)

        return mean_gradient(episode, params, batch)

    return meta_grad


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
