"""Warm start: begin a run with the parameters that another run selected."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from recmeta.runs import layout
from recmeta.runs.files import one_line, read_json, read_yaml
from recmeta.training import checkpoint
from recmeta.types import Params, UserError

SELECTED = ".best.params"
"""The path of the selected parameters in a checkpoint of `recmeta.training.chunk.Progress`."""


class Start(NamedTuple):
    """A finished run, as a start.

    Attributes:
        directory: of the run.
        seeds: in the order of the parameters' first axis.
        hashes: what it was made from.
        params: the selected parameters, each under its path.
    """

    directory: Path
    seeds: Sequence[int]
    hashes: Mapping[str, str]
    params: Mapping[str, np.ndarray]

    @property
    def identity(self) -> str:
        """A hash of the hashes of the run: another start makes another run."""
        return hashlib.sha256(json.dumps(dict(self.hashes), sort_keys=True).encode()).hexdigest()


def read(start: str, output: str) -> Start:
    """Read a start.

    Args:
        start: a run directory, or a directory that holds exactly one run, also below ``output``: a run's name.
        output: where run directories are.

    Raises:
        UserError: where it is none, or not one, or can't be read.
    """
    directory = find(start, output)
    try:
        summary, config = read_json(directory / layout.SUMMARY), read_yaml(directory / layout.CONFIG)
        hashes, seeds = summary["hashes"], config["seeds"]  # pyright: ignore[reportOptionalSubscript]
    except (UserError, KeyError, TypeError) as error:
        raise UserError(f"start={start}: {directory} can't be read ({one_line(error)})") from error
    stored = checkpoint.read(directory / layout.CHECKPOINTS)
    params = {name.removeprefix(SELECTED): value for name, value in stored.items() if name.startswith(SELECTED)}
    if not params:
        raise UserError(f"start={start}: {directory} holds no parameters; a run of the baselines alone has none")
    return Start(directory, seeds, hashes, params)


def find(start: str, output: str) -> Path:
    """The run directory that is meant. For arguments and errors see `read`."""
    for place in (Path(start), Path(output) / start):
        if (place / layout.SUMMARY).exists():
            return place
        runs = sorted(path.parent for path in place.glob(f"*/{layout.SUMMARY}"))
        if len(runs) > 1:
            raise UserError(f"start={start}: {place} holds {len(runs)} runs; name one, as start={runs[0]}")
        if runs:
            return runs[0]
    raise UserError(
        f"start={start}: there is no finished run; give a run directory, or the name of a run under {output}"
    )


def check(start: Start, shapes: Params, seeds: Sequence[int], hashes: Mapping[str, str]) -> list[str]:
    """Check that a run can begin with a start: before anything is written.

    Args:
        start: what is begun with.
        shapes: of one seed's parameters in the new run.
        seeds, hashes: of the new run.

    Returns:
        Lines for the user: what is taken over, what is not, and what begins afresh.

    Raises:
        UserError: where the data, the split, the seeds or the shapes do not fit.
    """
    for key, what in (("data", "other data"), ("protocol", "another split of the data")):
        if start.hashes.get(key) != hashes[key]:
            raise UserError(f"start: {start.directory} is a run on {what}: its tables are of other users and items")
    if start.hashes.get("text") != hashes.get("text"):
        raise UserError(f"start: {start.directory} is a run on other text features, by other files")
    missing = [seed for seed in seeds if seed not in start.seeds]
    if missing:
        raise UserError(f"start: {start.directory} has no seeds={missing}; it has seeds={list(start.seeds)}")
    wanted = {jax.tree_util.keystr(path): leaf for path, leaf in jax.tree_util.tree_leaves_with_path(shapes)}
    taken = [name for name in wanted if name in start.params]
    for name in taken:
        here, there = list(wanted[name].shape), list(start.params[name].shape[1:])
        if here != there:
            raise UserError(
                f"start: {_dotted(name)} is {there} in {start.directory} and {here} here; encoder, scorer and their "
                "sizes must be the same"
            )
    if not taken:
        raise UserError(f"start: {start.directory} has no part of what this learner learns")
    lines = [f"start: the parameters that {start.directory} selected"]
    # An array without elements is in no checkpoint, and there is nothing in it to begin with.
    fresh = _left((name for name, leaf in wanted.items() if leaf.size), taken)
    unused = _left(start.params, taken)
    lines += [f"start: begin afresh: {', '.join(fresh)}"] if fresh else []
    lines += [f"start: not used here: {', '.join(unused)}"] if unused else []
    return lines


def replace_params(start: Start, fresh: Params, seeds: Sequence[int]) -> Params:
    """Replace fresh parameters by those of a start, as far as it has them.

    Args:
        start: checked.
        fresh: of all seeds, ``[S, ...]``.
        seeds: whose they are.
    """
    rows = np.array([list(start.seeds).index(seed) for seed in seeds])

    def one(path, leaf: Array) -> Array:
        there = start.params.get(jax.tree_util.keystr(path))
        return leaf if there is None else jnp.asarray(there[rows], leaf.dtype)

    return jax.tree_util.tree_map_with_path(one, fresh)


def _left(names: Iterable[str], taken: Sequence[str]) -> list[str]:
    """The names that are not taken over; where nothing of a part is, that part alone."""
    parts = {_dotted(name).partition(".")[0] for name in taken}
    left = [_dotted(name) for name in names if name not in taken]
    return list(dict.fromkeys(name if name.partition(".")[0] in parts else name.partition(".")[0] for name in left))


def _dotted(name: str) -> str:
    """A path as it is typed.

    >>> _dotted("['scorer']['layers'][0]['kernel']")
    'scorer.layers.0.kernel'
    """
    return name.replace("'", "").removeprefix("[").removesuffix("]").replace("][", ".")
