"""The fused launcher: run a sweep's runs of equal structure as one compiled program.

Runs are grouped by structure, and groups are cut into blocks that fit into memory.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import jax
from hydra.core.hydra_config import HydraConfig
from hydra.core.utils import JobReturn, JobStatus, setup_globals
from omegaconf import DictConfig, OmegaConf, open_dict

from recmeta.experiment import failures, prepare
from recmeta.experiment.block import Outcome, Prune, keep_all
from recmeta.experiment.prepare import PlannedRun, Prepared
from recmeta.experiment.run import run_block
from recmeta.reporters.console import console
from recmeta.results.labels import choice, typed_choice
from recmeta.runs import directory as run_directory
from recmeta.runs import layout, provenance
from recmeta.runs.files import to_json, write
from recmeta.sweeps import groups
from recmeta.sweeps.console import SweepConsole, sweep_console
from recmeta.sweeps.ending import placed
from recmeta.types import Pruned, Reporter, UserError

FOLDER = ".fused"
"""Folder beside the run directories that holds the progress of unfinished blocks, a folder each."""

RUNS = "runs.json"
"""File with the names of a block's run directories, in the order of its replicas."""

Load = Callable[[DictConfig, list[str]], DictConfig]
"""``(config of the sweep, overrides of a run) -> config of the run``."""


class Composed(NamedTuple):
    """A run as Hydra composes it: its config as plain values, Hydra's own part, and the overrides."""

    config: Mapping[str, Any]
    hydra: DictConfig
    overrides: Sequence[str]


def compose(load: Load, config: DictConfig, overrides: Sequence[Sequence[str]], first: int) -> list[Composed]:
    """Compose the config of every run.

    Args:
        load: composes the config of one run.
        config: config of the sweep.
        overrides: the overrides of each run.
        first: number of the first run.
    """
    setup_globals()
    made, instance = [], HydraConfig.instance()
    before = instance.cfg
    try:
        for number, typed in enumerate(overrides, first):
            composed = load(config, list(typed))
            with open_dict(composed):
                composed.hydra.job.id, composed.hydra.job.num = str(number), number
                instance.set_config(composed)
                hydra = composed.pop("hydra")
            plain: Any = OmegaConf.to_container(composed, resolve=True, throw_on_missing=True)
            made.append(Composed(plain, hydra, [str(text) for text in hydra.overrides.task]))
    finally:
        instance.cfg = before
    return made


def returned(composed: Composed, value: float | None) -> JobReturn:
    """The return value of a run for Hydra. A failure sets the exit code, and makes no other run fail."""
    return JobReturn(
        overrides=composed.overrides, cfg=OmegaConf.create(dict(composed.config)), hydra_cfg=composed.hydra,
        status=JobStatus.COMPLETED, _return_value=value,
    )  # fmt: skip


class Setup(NamedTuple):
    """Settings of a sweep's programs, and its console.

    Attributes:
        replicas: the most seeds, over all runs, in one program.
        prune: stops runs early.
        screen: where it is reported.
    """

    replicas: int
    prune: Prune
    screen: SweepConsole


def run_sweep(
    composed: Sequence[Composed], replicas: int, prune: Prune = keep_all, first: int = 0, total: int | None = None
) -> list[float | None]:
    """Run a sweep; a run that fails is recorded, and the others go on.

    Args:
        composed: the runs.
        replicas: the most seeds, over all runs, in one program.
        prune: stops runs early.
        first: how many runs there were in earlier batches.
        total: how many runs there are in all batches; None where these are all.

    Returns:
        The value of each run on meta-validation, None where there is none.
    """
    values: dict[Path, float | None] = {}
    common = frozenset.intersection(*(frozenset(one.overrides) for one in composed))
    quiet = not any(map(_on_console, composed))
    screen = sweep_console(common, first, total or len(composed), quiet=quiet)
    try:
        screen.begin(f"planning {len(composed)} runs")
        planned = [_plan(screen.reporter, one, common) for one in composed]
        # Duplicate runs are run once.
        distinct = {run.directory: run for run in planned if run is not None}
        screen.skip(len(composed) - len(distinct))
        for of_problem in groups.grouped(list(distinct.values()), groups.problem):
            for run, outcome in _run_problem(of_problem, Setup(replicas, prune, screen)):
                values[run.directory] = _value(run, outcome, common)
    finally:
        screen.stop()
    return [None if run is None else values.get(run.directory) for run in planned]


def _on_console(composed: Composed) -> bool:
    """Whether a run reports to the console."""
    blocks = composed.config["reporter"].values()
    return any(isinstance(block, Mapping) and choice(block) == console.__name__ for block in blocks)


def _plan(reporter: Callable[[], Reporter], composed: Composed, common: frozenset[str]) -> PlannedRun | None:
    """Plan a run, its console replaced by the sweep's. Record a refused run; returns None."""
    try:
        run = prepare.plan(composed.config, composed.overrides, multirun=True)
    except Exception as error:
        failures.record(error, composed.config, composed.overrides, _own(composed.overrides, common))
        return None
    placed[tuple(composed.overrides)] = run.directory
    reporters = tuple(reporter if getattr(make, "func", None) is console else make for make in run.parts.reporters)
    return run._replace(parts=run.parts._replace(reporters=reporters))


def _own(overrides: Sequence[str], common: frozenset[str]) -> str:
    """The overrides that distinguish a run from the others of its sweep."""
    return " ".join(text for text in overrides if text not in common)


def _value(run: PlannedRun, outcome: Outcome, common: frozenset[str]) -> float | None:
    """The value of a run on meta-validation. Record a failure, unless another process holds the run."""
    if isinstance(outcome, run_directory.Occupied):
        failures.say(f"skipped: {outcome}")
    elif isinstance(outcome, Pruned):
        run_directory.record_failure(run.config, run.overrides, outcome, code=0)
    elif isinstance(outcome, Exception):
        failures.record(outcome, run.config, run.overrides, _own(run.overrides, common))
    else:
        return outcome.get("validation", {}).get("value")
    return None


def _run_problem(runs: Sequence[PlannedRun], setup: Setup) -> Iterator[tuple[PlannedRun, Outcome]]:
    """Run the runs of one data set and split, which is loaded once."""
    setup.screen.begin(f"{_named(runs[0], 'dataset', 'protocol')}: reading and splitting the data")
    try:
        data, problem = prepare.load(runs[0].parts)
    except Exception as error:
        yield from ((run, error) for run in runs)
        return
    for same_baselines in groups.grouped(runs, groups.reference):
        reference = None
        for group in groups.grouped(same_baselines, groups.structure):
            setup.screen.begin(f"{_named(group[0], 'learner', 'encoder')}: building the model")
            try:
                prepared = prepare.prepare(group[0], data, problem)
            except Exception as error:
                yield from ((run, error) for run in group)
                continue
            reference = reference or prepared.reference
            yield from _run_group(group, prepared._replace(reference=reference), setup)


def _named(run: PlannedRun, *names: str) -> str:
    """The choices of some groups, as they are typed."""
    return " ".join(f"{name}={typed_choice(name, run.config, run.overrides)}" for name in names)


def _run_group(runs: Sequence[PlannedRun], prepared: Prepared, setup: Setup) -> Iterator[tuple[PlannedRun, Outcome]]:
    """Run the runs of one structure: resume interrupted blocks, then form new blocks of the other runs."""
    left: list[PlannedRun] = []
    for run in runs:
        try:
            there = prepare.status(run, prepared, run.previous)
        except UserError as error:
            yield run, error
            continue
        if there.summary is None:
            left.append(run)
        else:
            yield run, there.summary
    if len(left) < len(runs):
        setup.screen.skip(len(runs) - len(left))
        failures.say(f"{len(runs) - len(left)} of {len(runs)} runs are done or refused; {len(left)} are left")
    for block in _interrupted(runs, left):
        yield from _run_block(block, prepared, setup)
        left = [run for run in left if run not in block]
    # Pruned in a block that finished, in a process that was killed before the search recorded it.
    pruned = setup.prune(runs[0].settings.steps, {})
    yield from ((run, pruned[run.directory]) for run in left if run.directory in pruned)
    for block in groups.blocks([run for run in left if run.directory not in pruned], setup.replicas):
        yield from _run_block(block, prepared, setup)


def _interrupted(runs: Sequence[PlannedRun], left: Sequence[PlannedRun]) -> list[list[PlannedRun]]:
    """The blocks with saved progress and runs left to do."""
    known, pending = {run.directory: run for run in runs}, {run.directory for run in left}
    found = []
    for path in sorted({path for run in left for path in run.directory.parent.glob(f"{FOLDER}/*/{RUNS}")}):
        named = [path.parent.parent.parent / name for name in json.loads(path.read_text(encoding="utf-8"))]
        block = [known[directory] for directory in named if directory in known]
        if len(block) == len(named) and not pending.isdisjoint(run.directory for run in block):
            found.append(block)
    return found


def _run_block(block: Sequence[PlannedRun], prepared: Prepared, setup: Setup) -> Iterator[tuple[PlannedRun, Outcome]]:
    """Run a block as one program; where it does not fit into memory, one half after the other.

    An error of the program is recorded as the failure of every run.
    """
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    steps = block[0].settings.steps if prepared.learner else 0
    setup.screen.begin(f"{_named(block[0], 'learner')}: compiling", len(block), steps)
    try:
        if len(block) == 1:
            where = block[0].directory / layout.CHECKPOINTS
            outcomes = run_block(block, prepared, where, clock, compiled, setup.prune)
        else:
            folder = block[0].directory.parent / FOLDER / groups.name(block)
            run_directory.make(folder)
            with run_directory.locked(folder):
                write(folder / RUNS, to_json([run.directory.name for run in block]))
                where = folder / layout.CHECKPOINTS
                outcomes = run_block(block, prepared, where, clock, compiled, setup.prune)
                shutil.rmtree(folder)
            with suppress(OSError):
                folder.parent.rmdir()  # of the last block
    except Exception as error:
        if len(block) > 1 and _is_memory(error):
            failures.say(f"{len(block)} runs do not fit into memory; one half after the other")
            for half in groups.halves(block):
                yield from _run_block(half, prepared, setup)
            return
        outcomes = [error] * len(block)
    yield from zip(block, outcomes, strict=True)


def _is_memory(error: Exception) -> bool:
    """Whether memory ran out, the host's or a device's."""
    return isinstance(error, MemoryError) or (
        isinstance(error, jax.errors.JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    )
