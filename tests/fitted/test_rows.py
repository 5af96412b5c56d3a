"""Meta-train as a sparse matrix, row by row."""

import jax.numpy as jnp
import numpy as np

from recmeta.fitted.rows import by_task_and_item, catalogue


def test_a_catalogue_holds_the_items_with_the_most_rows_and_never_the_unknown_one(problem):
    entities = dict(problem.train.entities)
    entities["id"] = jnp.where(entities["id"] > 20, 0, entities["id"])  # the unknown id now has the most rows
    tasks = problem._replace(train=problem.train._replace(entities=entities))
    count = np.bincount(np.asarray(entities["id"])[np.asarray(problem.train.row)], minlength=31)
    items = catalogue(tasks, 5)
    kept = np.flatnonzero(items.number)
    assert items.size == 6
    assert items.number[kept].tolist() == [1, 2, 3, 4, 5]
    assert 0 not in kept
    assert count[kept].min() >= np.delete(count, [0, *kept]).max()


def test_the_matrix_has_each_value_at_its_user_and_item(problem):
    train, values = problem.train, np.arange(1.0, len(problem.train.row) + 1)
    matrix = by_task_and_item(problem, catalogue(problem), values).toarray()
    ids = np.asarray(train.entities["id"])
    for task, (start, size) in enumerate(zip(train.start.tolist(), train.size.tolist(), strict=True)):
        rows = slice(start, start + size)
        np.testing.assert_array_equal(matrix[task, ids[np.asarray(train.row[rows])]], values[rows])
    assert np.count_nonzero(matrix) == len(values)
