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
    """How many members a program has where there are ``number``: filled up, so that no device is left without.

    >>> even(1)
    1
    """
    each = min(number, len(jax.local_devices()))
    return -(-number // each) * each


def placed(members: PyTree) -> PyTree:
    """Put members, arrays ``[S, ...]``, on the devices where `over_members` has them."""
    mesh = _mesh(len(jax.tree.leaves(members)[0]))
    return jax.device_put(members, NamedSharding(mesh, PartitionSpec(AXIS)))


def shared(values: PyTree, number: int) -> PyTree:
    """Put what all of ``number`` members read on every device that has some."""
    return jax.device_put(values, NamedSharding(_mesh(number), PartitionSpec()))


def gathered(members: PyTree) -> PyTree:
    """Put members on one device: the first."""
    return jax.device_put(members, jax.local_devices()[0])


def over_members(one: Callable[..., PyTree], members: PyTree, *values: PyTree) -> PyTree:
    """``one(member, *values)`` of every member, stacked.

    On an accelerator the members of a device are a vmapped axis. On a CPU, where every core is a device
    (`recmeta.cli.configure_jax`), they go one after the other: side by side they would not be faster, for the cores
    are busy, and slower from where their parameters and activations together are larger than the cache.

    Args:
        one: pure.
        members: arrays ``[S, ...]``.
        values: the same for all.
    """
    mesh = _mesh(len(jax.tree.leaves(members)[0]))

    def of_device(members: PyTree, values: PyTree) -> PyTree:
        if mesh.devices[0].platform == "cpu":
            return jax.lax.map(lambda member: one(member, *values), members)
        return jax.vmap(lambda member: one(member, *values))(members)

    if mesh.size == 1:
        return of_device(members, values)
    dealt = PartitionSpec(AXIS)
    return jax.shard_map(
        of_device, mesh=mesh, in_specs=(dealt, PartitionSpec()), out_specs=dealt, check_vma=False
    )(members, values)  # fmt: skip


def _mesh(number: int) -> Mesh:
    return Mesh(np.array(devices(number)), (AXIS,))
