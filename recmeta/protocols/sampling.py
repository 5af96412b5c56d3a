"""Draw tasks, each with its support and query, afresh at every visit, inside the compiled program.

A draw is two steps, so that the sequential one can be done for many training steps at once: `draw` picks tasks and row
positions (randomness, integers only), `gather` fetches what stands there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Int, PRNGKeyArray

from recmeta.protocols.negatives import draw_places, had, known_then, log_probability
from recmeta.types import Batch, Negatives, Query, Support, Task, Tasks

NEGATIVES = 1
"""Folded into the key that negatives are drawn by."""


class Draw(NamedTuple):
    """Drawn tasks, their drawn rows (support first), and a mask of the rows that count.

    Attributes:
        task: of the draw.
        position: of rows within their task.
        there: which of these count.
        negatives: places in the catalogue, and how many of its entities there were to draw from; None: no negatives.
    """

    task: Int[Array, "T"]
    position: Int[Array, "T n"]
    there: Bool[Array, "T n"]
    negatives: tuple[Int[Array, "T m"], Int[Array, "T"]] | None = None


def distinct(key: PRNGKeyArray, count: Int[Array, ""], number: int) -> Int[Array, "number"]:
    """Draw distinct positions below ``count``, uniformly and in random order.

    A Fisher-Yates shuffle cut off after ``number`` swaps, of an array that is never built: only the places that were
    swapped are remembered, so the cost does not depend on ``count``.

    Args:
        key: randomness.
        count: how many positions there are; what is drawn after that many is meaningless.
        number: how many to draw.
    """
    here = jnp.arange(number)
    there = jax.random.randint(key, (number,), here, jnp.maximum(count, here + 1))

    def value(places: Array, values: Array, place: Array) -> Array:
        latest = jnp.max(jnp.where(places == place, here, -1))
        return jnp.where(latest >= 0, values[latest], place)

    def swap(carry: tuple[Array, Array], step: tuple[Array, Array]) -> tuple[tuple[Array, Array], Array]:
        places, values = carry
        i, j = step
        taken = value(places, values, j)
        left = value(places, values, i)
        return (places.at[i].set(j), values.at[i].set(left)), taken

    empty = jnp.full((number,), -1)
    _, drawn = jax.lax.scan(swap, (empty, empty), (here, there))
    return drawn


def anywhere(key: PRNGKeyArray, size: Int[Array, ""], support: int, query: int, least: int) -> tuple[Array, Array]:
    """Positions of support and query rows from anywhere in a history of ``size`` rows, and which there are.

    The first ``least`` go to the query, the next ones to the support, the last to the query again: of a short history
    the query is cut before the support, but not below that.
    """
    drawn = distinct(key, size, query + support)
    there = jnp.arange(query + support) < size

    def laid_out(values: Array) -> Array:
        first, shown, more = jnp.split(values, [least, least + support])
        return jnp.concatenate([shown, first, more])

    return laid_out(drawn), laid_out(there)


def stretch(key: PRNGKeyArray, size: Int[Array, ""], support: int, query: int, least: int) -> tuple[Array, Array]:
    """Positions of a stretch of a history, the start uniform: the support, and right after it the query.

    Of a short history the query is cut before the support, but not below ``least`` rows.
    """
    length = jnp.minimum(size, support + query)
    start = jax.random.randint(key, (), 0, size - length + 1)
    cut = jnp.clip(length - least, 0, support)
    shown, asked = jnp.arange(support), cut + jnp.arange(query)
    return start + jnp.concatenate([shown, asked]), jnp.concatenate([shown < cut, asked < length])


POSITIONS: dict[str, Callable[[PRNGKeyArray, Array, int, int, int], tuple[Array, Array]]] = {
    "random": anywhere,
    "time": stretch,
}
"""Order of a task's rows -> how rows are drawn: anywhere, or a stretch of the entity's history."""


def draw(
    key: PRNGKeyArray, tasks: Tasks, number: int, *, order: str, support: int, query: int, least: int,
    shots: tuple[int, ...], negatives: int = 0,
) -> Draw:  # fmt: skip
    """Draw tasks uniformly, with replacement, and from each its support and query rows; and negatives beside them.

    Args:
        key: randomness.
        tasks: where to draw from.
        number: how many tasks.
        order: a key of `POSITIONS`.
        support, query: the most rows of each; a shorter history has fewer.
        least: how many of them are the query's before the support has any.
        shots: the support sizes to draw from, uniformly; none above ``support``.
        negatives: how many of them to draw for each task, from ``tasks.catalogue``.
    """
    key_task, key_rows, key_shots = jax.random.split(key, 3)
    task = jax.random.randint(key_task, (number,), 0, tasks.size.shape[0])
    positions = jax.vmap(lambda key, size: POSITIONS[order](key, size, support, query, least))
    position, there = positions(jax.random.split(key_rows, number), tasks.size[task])
    size = jax.random.choice(key_shots, jnp.array(shots), (number,))
    place = jnp.arange(support + query)
    counts = there & ((place >= support) | (place < size[:, None]))
    drawn = Draw(task, jnp.where(there, position, 0), counts)
    return drawn._replace(negatives=_draw_negatives(key, tasks, drawn, support, negatives)) if negatives else drawn


def _draw_negatives(key: PRNGKeyArray, tasks: Tasks, drawn: Draw, support: int, number: int) -> tuple[Array, Array]:
    """Places in the catalogue, and how many entities each task's are drawn from: those there at its first query row."""
    assert tasks.catalogue is not None
    if tasks.catalogue.since is None or tasks.time is None:
        now = jnp.zeros(drawn.task.shape, jnp.int32)
    else:
        query = tasks.start[drawn.task][:, None] + drawn.position[:, support:]
        now = jnp.where(drawn.there[:, support:], tasks.time[query], jnp.iinfo(jnp.int32).max).min(axis=1)
    many = known_then(tasks.catalogue, now)
    # A stream of its own: what else is drawn does not depend on whether negatives are.
    return draw_places(jax.random.fold_in(key, NEGATIVES), tasks.catalogue, many, number), many


def gather(tasks: Tasks, drawn: Draw, *, support: int) -> Batch:
    """Fetch the features and labels of drawn rows; the first ``support`` positions of each are its support."""
    index = tasks.start[drawn.task][:, None] + drawn.position
    row, label = tasks.row[index], tasks.label[index]
    x = {name: values[row] for name, values in tasks.entities.items()}
    context = {name: values[tasks.entity[drawn.task]] for name, values in tasks.contexts.items()}
    first, rest = (
        {name: values[:, part] for name, values in x.items()} for part in (slice(support), slice(support, None))
    )
    query = Query(rest, drawn.there[:, support:])
    shown = Support(first, label[:, :support], drawn.there[:, :support])
    weight = None if tasks.weight is None else tasks.weight[index[:, support:]]
    negatives = None if drawn.negatives is None else _gather_negatives(tasks, drawn.task, *drawn.negatives)
    return Batch(Task(context, shown, query), label[:, support:], negatives=negatives, weight=weight)


def _gather_negatives(
    tasks: Tasks, task: Int[Array, "T"], place: Int[Array, "T m"], many: Int[Array, "T"]
) -> Negatives:
    """Fetch the features and log-probabilities of drawn negatives, and mask those that the task itself has."""
    assert tasks.catalogue is not None
    entity = tasks.catalogue.entity[place]
    mask = ~had(tasks, tasks.catalogue, task, entity) & (many > 0)[:, None]
    x = {name: values[entity] for name, values in tasks.entities.items()}
    return Negatives(entity, x, log_probability(tasks.catalogue, many, place), mask)
