"""Inner products of rows in one-hot coding, without the coding: ``k(x, z) = sum over d of weight_d x_d z_d``.

A vocabulary may have many thousand values while a task has a few dozen rows, so that what is linear in the features is
worked out on products of rows with rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recmeta.baselines.rows import item_ids
from recmeta.types import Features, Problem

Weights = Mapping[str, Float[Array, "d"]]
"""Field -> weight of each value (of each column, where numeric). Fields that are not in it do not count."""


def kernel(x: Features, z: Features, weights: Weights) -> Float[Array, "K n"]:
    """The weighted inner products of K rows with n, in one-hot coding.

    A categorical field counts where both rows have one value, a multi-valued field for each value that both have, a
    numeric one by the product of its columns. Unknown values, 0, count nothing.

    Args:
        x: fields of K rows.
        z: the same fields of n rows.
        weights: which fields count, and how much.

    >>> rows = {"colour": jnp.array([1, 2, 0]), "size": jnp.array([[0.5, 0], [2.0, 0], [0, 1.0]])}
    >>> kernel(rows, rows, {"colour": jnp.array([9.0, 3.0, 4.0]), "size": jnp.ones(2)}).tolist()
    [[3.25, 1.0, 0.0], [1.0, 8.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rows = next(iter(x.values())).shape[0], next(iter(z.values())).shape[0]
    return sum((_field(x[name], z[name], weight) for name, weight in weights.items()), jnp.zeros(rows))


def square_length(x: Features, weights: Weights) -> Float[Array, "K"]:
    """The diagonal of ``kernel(x, x, weights)``."""
    rows = next(iter(x.values())).shape[0]
    return sum((_square(x[name], weight) for name, weight in weights.items()), jnp.zeros(rows))


def even_weights(problem: Problem) -> dict[str, Array]:
    """Weight 1 for every value of every item field but the id."""
    return {field.name: jnp.ones(field.size) for field in problem.spec.row if field.name != "id"}


def inverse_document_frequency(problem: Problem) -> dict[str, Array]:
    """``idf^2`` per value of each categorical and multi-valued item field, the id excepted; meta-train's items count.

    Products of TF-IDF vectors weigh a term by its idf twice. ``idf = ln((1 + n) / (1 + df)) + 1``, as scikit-learn has
    it: a term that all items have still counts a little.
    """
    tables = problem.train.entities
    seen = np.unique(np.asarray(problem.train.row)[item_ids(problem.train) > 0])

    def squared(name: str, size: int) -> Array:
        values = np.asarray(tables[name])[seen].reshape(len(seen), -1)
        # An item that lists a value twice has it once.
        pairs = np.unique(np.stack([np.indices(values.shape)[0].ravel(), values.ravel()]), axis=1)
        documents = np.bincount(pairs[1], minlength=size)
        return jnp.asarray((np.log((1 + len(seen)) / (1 + documents)) + 1) ** 2, jnp.float32)

    terms = [field for field in problem.spec.row if field.kind in ("categorical", "multi") and field.name != "id"]
    return {field.name: squared(field.name, field.size) for field in terms}


def _field(x: Array, z: Array, weight: Array) -> Array:
    if jnp.issubdtype(x.dtype, jnp.floating):
        return (x * weight) @ z.T
    if x.ndim == 1:
        return jnp.where((x[:, None] == z[None, :]) & (x > 0)[:, None], weight[x][:, None], 0)
    same = (x[:, None, :, None] == z[None, :, None, :]) & (x > 0)[:, None, :, None]
    return jnp.where(same, weight[x][:, None, :, None], 0).sum((2, 3))


def _square(x: Array, weight: Array) -> Array:
    if jnp.issubdtype(x.dtype, jnp.floating):
        return (x**2 * weight).sum(-1)
    held = jnp.where(x > 0, weight[x], 0)
    return held if x.ndim == 1 else held.sum(-1)
