"""Meta-train rows in the form other libraries take: a sparse matrix of tasks by items."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int
from scipy.sparse import csr_array

from recmeta.types import Problem, Tasks

MOST_ITEMS = 5000
"""Most items, those with the most rows, in methods that relate every item to every other."""


def owners(tasks: Tasks) -> Int[np.ndarray, "n"]:
    """The task index of each row."""
    return np.repeat(np.arange(len(tasks.size)), np.asarray(tasks.size))


def item_ids(tasks: Tasks) -> Int[np.ndarray, "n"]:
    """The item id of each row."""
    return np.asarray(tasks.entities["id"])[np.asarray(tasks.row)]


def item_count(problem: Problem) -> int:
    """Number of item ids, the unknown one included."""
    return next(field.size for field in problem.spec.row if field.name == "id")


class Catalogue(NamedTuple):
    """Items known to a method, numbered from 1 in order of their ids.

    Attributes:
        number: per item id its number, 0 for items left out: the unknown id, and rare items.
        size: count of numbers, 0 included.
    """

    number: Int[np.ndarray, "items"]
    size: int


def catalogue(problem: Problem, most: int | None = None) -> Catalogue:
    """Number the known items, or only the ``most`` of them with the most meta-train rows."""
    rows = np.bincount(item_ids(problem.train), minlength=item_count(problem))
    rows[0] = 0
    kept = np.zeros(len(rows), bool)
    # stable: among items with equally many rows, those with lower ids are kept.
    kept[np.argsort(-rows, kind="stable")[: len(rows) if most is None else most]] = True
    kept &= rows > 0
    return Catalogue(np.where(kept, np.cumsum(kept), 0).astype(np.int32), int(kept.sum()) + 1)


def by_task_and_item(problem: Problem, items: Catalogue, values: Float[np.ndarray, "n"]) -> csr_array:
    """Arrange values of the meta-train rows as a sparse ``[tasks, items.size]`` matrix; column 0 is empty.

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
    """Index of the value nearest to the wanted one, for settings that each need a fit of their own.

    >>> int(nearest(jnp.array([1.0, 10.0, 100.0]), jnp.array(10.0)))
    1
    """
    return jnp.argmin(jnp.abs(values - wanted))
