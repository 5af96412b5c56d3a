"""Shard the replicas of a program over devices; no collectives. A replica is a seed with its own hyper-parameters."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec
from jaxtyping import PyTree

AXIS = "replica"


def chosen(number: int) -> Sequence[Any]:
    """The largest number of devices that can have the same number of replicas each."""
    there = jax.local_devices()
    most = min(number, len(there))
    return there[: next(count for count in range(most, 0, -1) if number % count == 0)]


def even_size(number: int) -> int:
    """Round a number of replicas up so that as many devices as possible have the same number, and none has more.

    >>> even_size(1)
    1
    """
    each = -(-number // len(jax.local_devices()))
    return each * -(-number // each)


def shard(replicas: PyTree) -> PyTree:
    """Put replicas, arrays ``[R, ...]``, on the devices where `over_devices` has them."""
    mesh = _mesh(len(jax.tree.leaves(replicas)[0]))
    return jax.device_put(replicas, NamedSharding(mesh, PartitionSpec(AXIS)))


def replicate(values: PyTree, number: int) -> PyTree:
    """Copy arrays that all of ``number`` replicas read to every device that has some."""
    return jax.device_put(values, NamedSharding(_mesh(number), PartitionSpec()))


def on_one_device(replicas: PyTree) -> PyTree:
    """Move replicas to one device: the first."""
    return jax.device_put(replicas, jax.local_devices()[0])


def over_devices(on_device: Callable[..., PyTree], replicas: PyTree, *values: PyTree) -> PyTree:
    """``on_device(replicas, *values)`` of each device's replicas, concatenated.

    Args:
        on_device: pure; of replicas, arrays ``[r, ...]``, to arrays ``[r, ...]``.
        replicas: arrays ``[R, ...]``.
        values: the same for all.
    """
    mesh = _mesh(len(jax.tree.leaves(replicas)[0]))
    if mesh.size == 1:
        return on_device(replicas, *values)
    split, same = PartitionSpec(AXIS), [PartitionSpec()] * len(values)
    return jax.shard_map(on_device, mesh=mesh, in_specs=(split, *same), out_specs=split, check_vma=False)(
        replicas, *values
    )


def map_replicas(one: Callable[[PyTree], PyTree], replicas: PyTree) -> PyTree:
    """``one(replica)`` of every replica of a device, stacked.

    On an accelerator they are a vmapped axis. On a CPU, where every core is a device (`recmeta.cli.configure_jax`),
    they go one after the other: side by side they would not be faster, for the core is busy, and are slower from where
    their parameters and activations together are larger than the cache.
    """
    return jax.lax.map(one, replicas) if jax.default_backend() == "cpu" else jax.vmap(one)(replicas)


def _mesh(number: int) -> Mesh:
    return Mesh(np.array(chosen(number)), (AXIS,))
