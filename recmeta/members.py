"""The members of a program, dealt out to the devices: nothing passes between them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

AXIS = "member"


def devices(number: int) -> Sequence[Any]:
    """As many devices as can have the same number of members each."""
    there = jax.local_devices()
    most = min(number, len(there))
    return there[: next(count for count in range(most, 0, -1) if number % count == 0)]


def even(number: int) -> int:
    """How many members a program has where there are ``number``: filled up, so that as many devices as can be have the
    same, and none has more than it would have had.

    >>> even(1)
    1
    """
    each = -(-number // len(jax.local_devices()))
    return each * -(-number // each)


def placed(members: PyTree) -> PyTree:
    """Put members, arrays ``[S, ...]``, on the devices where `over_devices` has them."""
    mesh = _mesh(len(jax.tree.leaves(members)[0]))
    return jax.device_put(members, NamedSharding(mesh, PartitionSpec(AXIS)))


def shared(values: PyTree, number: int) -> PyTree:
    """Put what all of ``number`` members read on every device that has some."""
    return jax.device_put(values, NamedSharding(_mesh(number), PartitionSpec()))


def gathered(members: PyTree) -> PyTree:
    """Put members on one device: the first."""
    return jax.device_put(members, jax.local_devices()[0])


def over_devices(on_device: Callable[..., PyTree], members: PyTree, *values: PyTree) -> PyTree:
    """``on_device(members, *values)`` of each device's members, put together again.

    Args:
        on_device: pure; of members, arrays ``[s, ...]``, to arrays ``[s, ...]``.
        members: arrays ``[S, ...]``.
        values: the same for all.
    """
    mesh = _mesh(len(jax.tree.leaves(members)[0]))
    if mesh.size == 1:
        return on_device(members, *values)
    dealt, same = PartitionSpec(AXIS), [PartitionSpec()] * len(values)
    return jax.shard_map(on_device, mesh=mesh, in_specs=(dealt, *same), out_specs=dealt, check_vma=False)(
        members, *values
    )


def each(one: Callable[[PyTree], PyTree], members: PyTree) -> PyTree:
    """``one(member)`` of every member of a device, stacked.

    On an accelerator they are a vmapped axis. On a CPU, where every core is a device (`recmeta.cli.configure_jax`),
    they go one after the other: side by side they would not be faster, for the core is busy, and are slower from where
    their parameters and activations together are larger than the cache.
    """
    return jax.lax.map(one, members) if jax.default_backend() == "cpu" else jax.vmap(one)(members)


def _mesh(number: int) -> Mesh:
    return Mesh(np.array(devices(number)), (AXIS,))
