"""Clip gradients, schedule the learning rate and freeze parameters, around any outer optimizer."""

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
"""Learning-rate schedules over all outer steps: constant, or falling to 0. Cosine: Loshchilov and Hutter, 2017."""


def outer_optimizer(
    optimizer: optax.GradientTransformation,
    shapes: Params,
    *,
    clip: float | None,
    schedule: Schedule | None,
    steps: int,
    freeze: Sequence[str],
) -> optax.GradientTransformation:
    """Add gradient clipping, a learning-rate schedule and frozen parameters to an optimizer.

    All three are the same for every optimizer. The norm is of the parameters that are trained. The schedule multiplies
    the whole update, weight decay included.

    Args:
        optimizer: updates the parameters that are not frozen.
        shapes: the parameters, or their shapes.
        clip: the norm, of all parameters together, above which a gradient is scaled down to it; None: never.
        schedule: ``steps -> schedule``, as those of `SCHEDULES`; None: the rate stays as it is.
        steps: over which the rate falls.
        freeze: names of parameters or parts, as in "tables" or "scorer.layers". They have no update, no weight decay
            and no optimizer state.

    Raises:
        UserError: where there is no such part.
    """
    if clip is not None:
        optimizer = optax.chain(optax.clip_by_global_norm(clip), optimizer)
    if schedule:
        optimizer = optax.chain(optimizer, optax.scale_by_schedule(schedule(steps)))
    if not freeze:
        return optimizer
    _check(freeze, list(_parts(shapes)))

    def label(path: Any, _: Any) -> str:
        return "frozen" if set(freeze) & set(_prefixes(path)) else "trained"

    def labels(params: PyTree) -> PyTree:
        return jax.tree_util.tree_map_with_path(label, params)

    return optax.partition({"trained": optimizer, "frozen": optax.set_to_zero()}, labels)


def _check(freeze: Sequence[str], there: Sequence[str]) -> None:
    """Refuse a frozen part that is not there, and list those that are."""
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
