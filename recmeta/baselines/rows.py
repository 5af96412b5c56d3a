"""The meta-train rows as methods outside this framework want them: who rated what, as a sparse matrix."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse import csr_array

from recmeta.types import Problem, Tasks

MOST_ITEMS = 5000
"""Methods that relate each item to each other one know the items with the most rows, and of them no more than this."""


def owners(tasks: Tasks) -> Int[np.ndarray, "n"]:
    """For each row, whose it is: the place of its task."""
    return np.repeat(np.arange(len(tasks.size)), np.asarray(tasks.size))


def item_ids(tasks: Tasks) -> Int[np.ndarray, "n"]:
    """For each row, the id of its item."""
    return np.asarray(tasks.entities["id"])[np.asarray(tasks.row)]


def item_count(problem: Problem) -> int:
    """How many item ids there are, the unknown one included."""
    return next(field.size for field in problem.spec.row if field.name == "id")


class Catalogue(NamedTuple):
    """The items that a method knows, numbered from 1 in order of their ids.

    Attributes:
        number: per item id its number, 0 for those that are not known: the unknown id, and rare items.
        size: how many numbers there are, 0 included.
    """

    number: Int[np.ndarray, "items"]
    size: int


def catalogue(problem: Problem, most: int | None = None) -> Catalogue:
    """The known items, or of them the ``most`` with the most meta-train rows."""
    rows = np.bincount(item_ids(problem.train), minlength=item_count(problem))
    rows[0] = 0
    kept = np.zeros(len(rows), bool)
    # stable: among items with as many rows, those with the lower ids stay.
    kept[np.argsort(-rows, kind="stable")[: len(rows) if most is None else most]] = True
    kept &= rows > 0
    return Catalogue(np.where(kept, np.cumsum(kept), 0).astype(np.int32), int(kept.sum()) + 1)


def by_task_and_item(problem: Problem, items: Catalogue, values: Float[np.ndarray, "n"]) -> csr_array:
    """Values of the meta-train rows as a sparse ``[tasks, items.size]`` matrix; column 0 is empty.

    A value of 0 is stored like any other. Of a pair that occurs twice the values are added up.
    """
    number = items.number[item_ids(problem.train)]
    known = number > 0
    places = (owners(problem.train)[known], number[known])
    shape = (len(problem.train.size), items.size)
    return csr_array((values[known].astype(np.float32), places), shape=shape)


def gram(left: csr_array, right: csr_array) -> Float[np.ndarray, "items items"]:
    """``left' right``, dense."""
    return np.asarray((left.T @ right).todense(), np.float32)


def nearest(values: Float[Array, "G"], wanted: Float[Array, ""]) -> Int[Array, ""]:
    """The place of the value nearest to the one wanted: where a setting needs a fit of its own, there are only some.

    >>> int(nearest(jnp.array([1.0, 10.0, 100.0]), jnp.array(10.0)))
    1
    """
    return jnp.argmin(jnp.abs(values - wanted))
