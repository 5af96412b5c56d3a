"""Checkpoints: save and restore any state, bit for bit. Thin over orbax.

A state is written as one flat mapping from leaf path to plain numpy array. Names, shapes and dtypes are compared with
what is asked for before anything is read: orbax itself would cast to another dtype without a word.
"""

from __future__ import annotations

import errno
import logging
import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PyTree

from recmeta.types import UserError

T = TypeVar("T")


class Checkpoints(NamedTuple):
    """The checkpoints of one run.

    Attributes:
        save: ``(step, state)``. Atomic: a save that is interrupted leaves the previous ones as they were. Checkpoints
            of this step or of later ones (of an earlier run) go. Raises `UserError` where the disk takes no more.
        restore: ``like -> Restored`` of the latest that can be read, or None where there is none. ``like`` gives
            structure, shapes, dtypes and placement (arrays, or `jax.ShapeDtypeStruct`). Raises `UserError` where the
            one on disk differs, or none can be read.
        close: lets go of what orbax holds.
    """

    save: Callable[[int, PyTree], None]
    restore: Callable[[PyTree], Restored | None]
    close: Callable[[], None]


class Restored(NamedTuple):
    """A checkpoint as it was read.

    Attributes:
        state: of the structure that was asked for.
        step: of it.
        damaged: later steps whose checkpoints can't be read.
    """

    state: Any
    step: int
    damaged: Sequence[int]


def open(directory: str | Path, *, keep: int = 2, fresh: bool = False) -> Checkpoints:
    """Opens a run's checkpoints; once serves the whole run.

    Args:
        directory: where they are; made where it is missing.
        keep: how many of the latest stay.
        fresh: forget the ones that are there.

    Returns:
        What saves, restores and closes.

    Raises:
        UserError: where the directory can't be made, read or emptied.
    """
    import orbax.checkpoint as ocp  # here: it takes a third of a second

    _quiet()
    directory = Path(directory).absolute()
    # Synchronous: a save takes tens of milliseconds, and one that returned is on disk.
    options = ocp.CheckpointManagerOptions(
        max_to_keep=keep, enable_async_checkpointing=False, cleanup_tmp_directories=True
    )
    with _disk(directory):
        if fresh and directory.exists():
            shutil.rmtree(directory)
        directory.mkdir(parents=True, exist_ok=True)
        manager = ocp.CheckpointManager(directory, options=options, item_handlers=ocp.StandardCheckpointHandler())
    return Checkpoints(partial(_save, manager), partial(_restore, manager), manager.close)


def read(directory: str | Path) -> dict[str, np.ndarray]:
    """Read the latest checkpoint of a run that is over; of damaged ones, the latest before them.

    Args:
        directory: where its checkpoints are.

    Returns:
        Each array under its path as `jax.tree_util.keystr` writes it; arrays without elements are left out.

    Raises:
        UserError: where there is none, or it can't be read.
    """
    import orbax.checkpoint as ocp

    _quiet()
    options = ocp.CheckpointManagerOptions(create=False)

    def at(step: int) -> dict[str, np.ndarray]:
        metadata = manager.item_metadata(step)
        if metadata is None:
            raise ValueError("its metadata is missing")
        shapes = {name: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for name, leaf in metadata.tree.items()}
        arrays = manager.restore(step, args=ocp.args.StandardRestore(shapes))
        return {name: np.asarray(value) for name, value in arrays.items()}

    try:
        with ocp.CheckpointManager(
            Path(directory).absolute(), options=options, item_handlers=ocp.StandardCheckpointHandler()
        ) as manager:
            if (found := _latest(manager.all_steps(), at)) is None:
                raise ValueError("there is none")
            return found[0]
    except (OSError, ValueError) as error:
        raise UserError(f"no checkpoint can be read in {directory} ({_short(error)})") from error


def _latest(steps: Iterable[int], read: Callable[[int], T]) -> tuple[T, int, list[int]] | None:
    """Read the latest checkpoint that can be read; a damaged one is passed over.

    Args:
        steps: of all checkpoints.
        read: reads one of them.

    Returns:
        The one that was read, its step, and the later steps that can't be; None where there is no checkpoint.

    Raises:
        OSError, ValueError: of the latest, where none can be read.
    """
    damaged: list[int] = []
    first: Exception | None = None
    for step in sorted(steps, reverse=True):
        try:
            return read(step), step, damaged
        except (OSError, ValueError) as error:
            first = first or error
            damaged.append(step)
    if first is not None:
        raise first
    return None


def _quiet() -> None:
    """Silence orbax's log: each step of a save at INFO, and every error at length that it raises too."""
    logging.getLogger("absl").setLevel(logging.CRITICAL)


def _save(manager: Any, step: int, state: PyTree) -> None:
    import orbax.checkpoint as ocp

    arrays = _stored({name: to_numpy(leaf) for name, leaf in _leaves(state)})
    _check_room(Path(manager.directory), sum(array.nbytes for array in arrays.values()))
    with _disk(manager.directory):
        # orbax would skip a step that is not later than its latest, in silence.
        for stale in [saved for saved in manager.all_steps() if saved >= step]:
            manager.delete(stale)
        manager.save(step, args=ocp.args.StandardSave(arrays), force=True)


def _check_room(directory: Path, needed: int) -> None:
    """Refuse to begin a save that does not fit: its threads would print a trace each.

    Raises:
        UserError: so.
    """
    there = shutil.disk_usage(directory)
    if there.total > 0 and there.free < needed:  # a file system that counts nothing says 0
        raise UserError(
            f"no space left for {directory}: a checkpoint needs {needed / 1e6:.1f} MB, and {there.free / 1e6:.1f} MB "
            "are free; free some, and the same command resumes"
        )


@contextmanager
def _disk(directory: Any) -> Iterator[None]:
    """Turn errors of the disk into one line.

    Tensorstore reports them as a ValueError which quotes the system's number.
    """
    try:
        yield
    except (OSError, ValueError) as error:
        said = str(error)
        if "No space left" in said or getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"no space left for {directory}: free some, and the same command resumes") from error
        if not isinstance(error, OSError) and "os_error_code" not in said:
            raise
        raise UserError(
            f"can't write {directory} ({_short(error)}); make it writable, or give another output="
        ) from error


def _short(error: BaseException) -> str:
    """Shorten a message to one line: orbax and tensorstore quote their context at length."""
    return textwrap.shorten(str(error), 200, placeholder=" …")


def _restore(manager: Any, like: PyTree) -> Restored | None:
    import orbax.checkpoint as ocp

    leaves = _leaves(like)
    shapes = {name: _shape(leaf) for name, leaf in leaves}

    def at(step: int) -> Mapping[str, Any]:
        metadata = manager.item_metadata(step)
        if metadata is None:
            raise ValueError("its metadata is missing")
        _check_fits(manager.directory, _stored(shapes), metadata.tree)
        return manager.restore(step, args=ocp.args.StandardRestore(_stored(shapes)))

    try:
        found = _latest(manager.all_steps(), at)
    except (OSError, ValueError) as error:
        raise UserError(
            f"no checkpoint in {manager.directory} can be read ({_short(error)}); remove that folder, and the same "
            "command starts over"
        ) from error
    if found is None:
        return None
    arrays, step, damaged = found
    empty = {name: np.zeros(shape.shape, shape.dtype) for name, shape in shapes.items() if name not in arrays}
    values = [_from_numpy((dict(arrays) | empty)[name], leaf) for name, leaf in leaves]
    return Restored(jax.tree.unflatten(jax.tree.structure(like), values), step, damaged)


def _check_fits(directory: Path, wanted: Mapping[str, Any], stored: Mapping[str, Any]) -> None:
    def describe(leaf: Any) -> str:
        return "nothing" if leaf is None else f"{np.dtype(leaf.dtype).name}{list(leaf.shape)}"

    for name in sorted({*wanted, *stored}):
        here, there = describe(wanted.get(name)), describe(stored.get(name))
        if here != there:
            raise UserError(
                f"the checkpoint in {directory} is of another run: {name} is {there} there and {here} here; "
                "remove that folder, and the same command starts over"
            )


def _leaves(tree: PyTree) -> list[tuple[str, Any]]:
    return [(jax.tree_util.keystr(path), leaf) for path, leaf in jax.tree_util.tree_leaves_with_path(tree)]


def _stored(leaves: Mapping[str, Any]) -> dict[str, Any]:
    """The leaves that are written: orbax refuses arrays without elements, which have nothing but a shape."""
    return {name: leaf for name, leaf in leaves.items() if 0 not in leaf.shape}


def _is_key(leaf: Any) -> bool:
    return jnp.issubdtype(getattr(leaf, "dtype", np.float32), jax.dtypes.prng_key)


def to_numpy(leaf: Any) -> np.ndarray:
    """An array on the host, as it is written: of a key its data."""
    return np.asarray(jax.random.key_data(leaf) if _is_key(leaf) else leaf)


def _shape(leaf: Any) -> jax.ShapeDtypeStruct:
    if _is_key(leaf):
        return jax.eval_shape(jax.random.key_data, leaf)
    leaf = leaf if hasattr(leaf, "dtype") else np.asarray(leaf)
    return jax.ShapeDtypeStruct(leaf.shape, leaf.dtype)


def _from_numpy(array: np.ndarray, like: Any) -> Any:
    if isinstance(like, bool | int | float):
        return type(like)(array)
    if isinstance(like, np.ndarray | np.generic):
        return array if isinstance(like, np.ndarray) else array[()]
    # A copy: where jax merely borrowed numpy's memory, the buffer could not be donated.
    value = jnp.array(array, copy=True)
    if _is_key(like):
        value = jax.random.wrap_key_data(value, impl=jax.random.key_impl(jnp.empty((), like.dtype)))
    # Placed as before where it was placed on purpose; else left free, or the next compilation would differ.
    return jax.device_put(value, like.sharding) if getattr(like, "committed", False) else value
