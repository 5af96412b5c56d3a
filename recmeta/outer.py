"""Around the outer optimizer: gradients made shorter, steps too as training goes on, and parts that stay."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from typing import Any

import jax
import optax
from jaxtyping import PyTree

from recmeta.types import Params, UserError

Schedule = Callable[[int], optax.Schedule]
"""``steps -> (step -> what the outer rate is multiplied by)``."""

SCHEDULES: Mapping[str, Schedule | None] = {
    "constant": None,
    "linear": partial(optax.linear_schedule, 1.0, 0.0),
    "cosine": partial(optax.cosine_decay_schedule, 1.0),
}
"""How the outer rate falls over all steps: not at all, or to 0. Cosine: Loshchilov and Hutter, SGDR, ICLR 2017."""


def outer(
    optimizer: optax.GradientTransformation,
    shapes: Params,
    *,
    clip: float | None,
    schedule: str,
    steps: int,
    freeze: Sequence[str],
) -> optax.GradientTransformation:
    """Bound what an optimizer is given, let its steps grow shorter, and keep parts of the parameters from it.

    All three belong to no optimizer: any of them is treated in the same way. The norm is of what moves. What the
    schedule multiplies is the whole update, weight decay included.

    Args:
        optimizer: updates what moves.
        shapes: the parameters, or their shapes.
        clip: the norm above which a gradient, that of all parameters together, is made shorter; None: never.
        schedule: one of `SCHEDULES`.
        steps: over which the rate falls.
        freeze: names of parts, as in "tables" or "scorer.layers". They have no update, weight decay included, and
            nothing is remembered of their gradients.

    Raises:
        UserError: where there is no such part.
    """
    if clip is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(clip), optimizer)
    if falls := SCHEDULES[schedule]:
        optimizer = optax.chain(optimizer, optax.scale_by_schedule(falls(steps)))
    if not freeze:
        return optimizer
    _check(freeze, list(_parts(shapes)))

    def label(path: Any, _: Any) -> str:
        return "stays" if set(freeze) & set(_prefixes(path)) else "moves"

    def labels(params: PyTree) -> PyTree:
        return jax.tree_util.tree_map_with_path(label, params)

    return optax.partition({"moves": optimizer, "stays": optax.set_to_zero()}, labels)


def _check(freeze: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a name that is none, and say which there are beside it."""
    for name in freeze:
        if name not in there:
            outside = name.rpartition(".")[0]
            near = [part for part in there if part.rpartition(".")[0] == (outside if outside in there else "")]
            raise UserError(f"freeze={name}: no such part of the parameters; there are {', '.join(near)}")


def _parts(params: Any, path: str = "") -> Iterator[str]:
    """The names of all parts, those in which there is nothing included."""
    for key, value in params.items() if isinstance(params, Mapping) else ():
        name = f"{path}.{key}" if path else str(key)
        yield name
        yield from _parts(value, name)


def _prefixes(path: Any) -> list[str]:
    """The names of all parts that a leaf is in, from the outermost on."""
    keys = [str(entry.key) for entry in path]
    return [".".join(keys[: depth + 1]) for depth in range(len(keys))]
