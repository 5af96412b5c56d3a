"""Inner products of rows in one-hot coding, without the coding: ``k(x, z) = sum over d of weight_d x_d z_d``.

A vocabulary may have many thousand values while a task has a few dozen rows, so that what is linear in the features is
worked out on products of rows with rows.
"""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from recmeta.features.kinds import arrays_of, kind_of
from recmeta.fitted.rows import item_ids
from recmeta.types import Features, Field, Problem

Weights = Mapping[Field, Float[Array, "d"]]
"""Field -> weight of each column of its design row. Fields that are not in it do not count."""


def kernel(x: Features, z: Features, weights: Weights) -> Float[Array, "K n"]:
    """The weighted inner products of K rows with n, in one-hot coding.

    Each field counts as its kind says (`recmeta.features`): for each value that both rows have, or by the product of
    numbers. Unknown values count nothing.

    Args:
        x: fields of K rows.
        z: the same fields of n rows.
        weights: which fields count, and how much.

    >>> rows = {"colour": jnp.array([1, 2, 0]), "size": jnp.array([[0.5, 0], [2.0, 0], [0, 1.0]])}
    >>> colour, size = Field("colour", "categorical", 3), Field("size", "numeric", 2)
    >>> kernel(rows, rows, {colour: jnp.array([9.0, 3.0, 4.0]), size: jnp.ones(2)}).tolist()
    [[3.25, 1.0, 0.0], [1.0, 8.0, 0.0], [0.0, 0.0, 1.0]]
    """
    rows = next(iter(x.values())).shape[0], next(iter(z.values())).shape[0]
    products = (arrays_of(field).product(x[field.name], z[field.name], weight) for field, weight in weights.items())
    return sum(products, jnp.zeros(rows))


def square_length(x: Features, weights: Weights) -> Float[Array, "K"]:
    """The diagonal of ``kernel(x, x, weights)``."""
    rows = next(iter(x.values())).shape[0]
    squares = (arrays_of(field).square(x[field.name], weight) for field, weight in weights.items())
    return sum(squares, jnp.zeros(rows))


def even_weights(problem: Problem) -> dict[Field, Array]:
    """Weight 1 for every value of every item field but the id."""
    return {field: jnp.ones(field.size) for field in problem.spec.row if field.name != "id"}


def inverse_document_frequency(problem: Problem) -> dict[Field, Array]:
    """``idf^2`` per word of each item field whose values are words, the id excepted; meta-train's items count.

    Products of TF-IDF vectors weigh a term by its idf twice. ``idf = ln((1 + n) / (1 + df)) + 1``, as scikit-learn has
    it: a term that all items have still counts a little.
    """
    tables = problem.train.entities
    seen = np.unique(np.asarray(problem.train.row)[item_ids(problem.train) > 0])

    def squared(field: Field) -> Array:
        columns = arrays_of(field).columns(np.asarray(tables[field.name])[seen], field.size)
        # An item that lists a word twice has it once.
        columns.sum_duplicates()
        documents = np.bincount(columns.indices, minlength=field.size)
        return jnp.asarray((np.log((1 + len(seen)) / (1 + documents)) + 1) ** 2, jnp.float32)

    terms = [field for field in problem.spec.row if kind_of(field.kind).words and field.name != "id"]
    return {field: squared(field) for field in terms}
