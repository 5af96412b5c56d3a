"""The fused launcher: points to groups of one structure, groups to blocks that fit, each block one compiled program."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import jax
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict

from recmeta import cli, experiment, provenance, run_directory, work
from recmeta.points import Outcome, Prune, keep_all
from recmeta.reporters import console
from recmeta.reporters.files import to_json, write
from recmeta.sweeps import groups
from recmeta.sweeps.chorus import chorus
from recmeta.types import Pruned, Reporter, UserError
from recmeta.work import Point, Work

FOLDER = ".fused"
"""Beside the run directories: the progress of blocks that are not finished, a folder each."""

POINTS = "points.json"
"""The names of a block's run directories, in the order of its members."""

Load = Callable[[DictConfig, list[str]], DictConfig]
"""Composes a point of a sweep's config and the point's overrides."""


class Composed(NamedTuple):
    """One point as Hydra composes it: its config as plain values and with Hydra's own part, and what was typed."""

    config: Mapping[str, Any]
    hydra: DictConfig
    overrides: Sequence[str]


def compose(load: Load, config: DictConfig, overrides: Sequence[Sequence[str]], first: int) -> list[Composed]:
    """Compose every point.

    Args:
        load: what Hydra composes one with.
        config: the sweep's.
        overrides: of each point.
        first: the number of the first.
    """
    setup_globals()
    made, instance = [], HydraConfig.instance()
    before = instance.cfg
    try:
        for number, typed in enumerate(overrides, first):
            composed = load(config, list(typed))
            with open_dict(composed):
                composed.hydra.job.id = composed.hydra.job.num = number
                instance.set_config(composed)
                hydra = composed.pop("hydra")
            plain: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
            made.append(Composed(plain, hydra, [str(text) for text in hydra.overrides.task]))
    finally:
        instance.cfg = before
    return made


def returned(composed: Composed, value: float | None) -> JobReturn:
    """What Hydra wants to know of a point. That one failed is told in the exit code, and makes no other fail."""
    return JobReturn(
        overrides=composed.overrides, cfg=OmegaConf.create(dict(composed.config)), hydra_cfg=composed.hydra,
        status=JobStatus.COMPLETED, _return_value=value,
    )  # fmt: skip


def run(composed: Sequence[Composed], members: int, prune: Prune = keep_all) -> list[float | None]:
    """Run the points of a sweep; what fails is recorded, and the others go on.

    Args:
        composed: the points.
        members: the most seeds, of all points, in one program.
        prune: gives points up before their end.

    Returns:
        Of each point the value on meta-validation, None where there is none.
    """
    values: dict[Path, float | None] = {}
    voice = chorus(frozenset.intersection(*(frozenset(each.overrides) for each in composed)))
    planned = [_plan(voice, each) for each in composed]
    # One point that is asked for twice is run once.
    distinct = {point.directory: point for point in planned if point is not None}
    for of_problem in groups.grouped(list(distinct.values()), groups.problem):
        for point, outcome in _run_problem(of_problem, members, prune):
            values[point.directory] = _value(point, outcome)
    return [None if point is None else values.get(point.directory) for point in planned]


def _plan(voice: Callable[[], Reporter], composed: Composed) -> Point | None:
    """The point, its console but a voice in the sweep's. None, and recorded, where it is refused."""
    try:
        point = work.plan(composed.config, composed.overrides, multirun=True)
    except Exception as error:
        cli.record(error, composed.config, composed.overrides)
        return None
    reporters = tuple(voice if getattr(make, "func", None) is console else make for make in point.parts.reporters)
    return point._replace(parts=point.parts._replace(reporters=reporters))


def _value(point: Point, outcome: Outcome) -> float | None:
    """The value of a point on meta-validation. Why there is none is recorded, but where another process runs it."""
    if isinstance(outcome, run_directory.Occupied):
        cli.say(f"skipped: {outcome}")
    elif isinstance(outcome, Pruned):
        run_directory.record_failure(point.config, point.overrides, outcome, code=0)
    elif isinstance(outcome, Exception):
        cli.record(outcome, point.config, point.overrides)
    else:
        return outcome.get("validation", {}).get("value")
    return None


def _run_problem(points: Sequence[Point], members: int, prune: Prune) -> Iterator[tuple[Point, Outcome]]:
    """Run points of one data set and split, which is loaded once."""
    try:
        data, problem = work.load(points[0].parts)
    except Exception as error:
        yield from ((point, error) for point in points)
        return
    for alike in groups.grouped(points, groups.reference):
        reference = None
        for group in groups.grouped(alike, groups.structure):
            try:
                made = work.assemble(group[0].config, group[0].parts, data, problem)
            except Exception as error:
                yield from ((point, error) for point in group)
                continue
            reference = reference or made.reference
            yield from _run_group(group, made._replace(reference=reference), members, prune)


def _run_group(points: Sequence[Point], made: Work, members: int, prune: Prune) -> Iterator[tuple[Point, Outcome]]:
    """Run points of one structure: blocks that were interrupted go on, what is left of the others makes new ones."""
    left: list[Point] = []
    for point in points:
        try:
            there = work.standing(point, made)
        except UserError as error:
            yield point, error
            continue
        if there.summary is None:
            left.append(point)
        else:
            yield point, there.summary
    if len(left) < len(points):
        cli.say(f"{len(points) - len(left)} of {len(points)} points are done or refused; {len(left)} are left")
    for block in _interrupted(points, left):
        yield from _run_block(block, made, prune)
        left = [point for point in left if point not in block]
    # Of a block that was run to its end, by a process that was killed before the search knew.
    given_up = prune(points[0].config["steps"], {})
    yield from ((point, given_up[point.directory]) for point in left if point.directory in given_up)
    for block in groups.blocks([point for point in left if point.directory not in given_up], members):
        yield from _run_block(block, made, prune)


def _interrupted(points: Sequence[Point], left: Sequence[Point]) -> list[list[Point]]:
    """The blocks of which there is progress and something left to do."""
    known = {point.directory: point for point in points}
    found = []
    for path in sorted({path for point in left for path in point.directory.parent.glob(f"{FOLDER}/*/{POINTS}")}):
        named = [path.parent.parent.parent / name for name in json.loads(path.read_text(encoding="utf-8"))]
        block = [known[directory] for directory in named if directory in known]
        if len(block) == len(named) and not {*map(_directory, block)}.isdisjoint(map(_directory, left)):
            found.append(block)
    return found


def _directory(point: Point) -> Path:
    return point.directory


def _run_block(block: Sequence[Point], made: Work, prune: Prune) -> Iterator[tuple[Point, Outcome]]:
    """Run points as one program; where it does not fit into memory, one half after the other.

    What fails for all of them is the failure of each.
    """
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    try:
        if len(block) == 1:
            where = block[0].directory / run_directory.CHECKPOINTS
            outcomes = experiment.run_together(block, made, where, clock, compiled, prune)
        else:
            folder = block[0].directory.parent / FOLDER / groups.name(block)
            run_directory.make(folder)
            with run_directory.held(folder):
                write(folder / POINTS, to_json([point.directory.name for point in block]))
                where = folder / run_directory.CHECKPOINTS
                outcomes = experiment.run_together(block, made, where, clock, compiled, prune)
                shutil.rmtree(folder)
    except Exception as error:
        if len(block) > 1 and _is_memory(error):
            cli.say(f"{len(block)} points do not fit into memory; one half after the other")
            for half in groups.halves(block):
                yield from _run_block(half, made, prune)
            return
        outcomes = [error] * len(block)
    yield from zip(block, outcomes, strict=True)


def _is_memory(error: Exception) -> bool:
    """Whether memory was short, the host's or a device's."""
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    )
