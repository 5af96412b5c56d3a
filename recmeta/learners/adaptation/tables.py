"""Embedding tables as one task adapts them: only the rows that its support looks up.

Under gradient descent from the table, no other row can change. So a task keeps the changes of those few rows and never
a copy of the table: what a task costs does not grow with the catalogue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from recmeta.learners.adaptation.kernels import Factors
from recmeta.types import Params


class Changes(NamedTuple):
    """One task's changes of a table. Where a row is named more than once, its first place holds the change."""

    rows: Int[Array, "*T P"]
    change: Float[Array, "*T P d"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Overlay:
    """A table under its changes; looked up like a table, by ``[index]``."""

    table: Float[Array, "V d"]
    changes: Changes

    def __getitem__(self, index):
        """Look rows up; all of them, ``[...]``, is the table itself: `flax.nnx` asks for it so."""
        if index is Ellipsis:
            return self
        same = jnp.asarray(index)[..., None] == self.changes.rows
        change = self.changes.change[jnp.argmax(same, axis=-1)]
        return self.table[index] + jnp.where(same.any(-1)[..., None], change, 0)


def no_change(tables: Params, rows: Params) -> Params:
    """Zeros ``[P, d]`` for each table."""
    return jax.tree.map(lambda table, rows: jnp.zeros((len(rows), table.shape[1]), table.dtype), tables, rows)


def lay_over(tables: Params, changes: Params) -> Params:
    """Put changes over tables."""
    return jax.tree.map(lambda table, changed: Overlay(table, changed) if changed.rows.size else table, tables, changes)


def mean_difference(params: Params, adapted: Params) -> Params:
    """The mean over tasks of ``params - adapted``, changed rows added where they belong.

    Args:
        params: where all tasks started.
        adapted: of each task, ``[T, ...]``, with `Changes` in the place of tables, `Factors` in that of kernels.
    """

    def one(start: Array, end: Any) -> Array:
        if isinstance(end, Changes):
            return jnp.zeros_like(start).at[end.rows].add(-end.change) / len(end.rows)
        if isinstance(end, Factors):
            # All tasks' products at once, and none of them by itself.
            return -jnp.einsum("tpa,tpb->ab", *end) / len(end.inputs)
        return start - end.mean(0)

    return jax.tree.map(one, params, adapted)
