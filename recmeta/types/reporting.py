"""Reporting on the host: the facts of a run, and the calls that a reporter answers."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple


@dataclass(frozen=True)
class Run:
    """The facts that a reporter may know of a run when it starts.

    Attributes:
        name: the experiment's name; the folder and the W&B group.
        directory: ``outputs/<name>/<config hash>``; exists when reporters start.
        config: the resolved config as plain values.
        overrides: what was typed.
        hashes: config, data, protocol, code.
        seeds: the model seeds.
        steps: how many outer steps are planned.
        step: where a resumed run starts; 0 when fresh.
        provenance: versions, device, flags, split and data counts, leak report.
        multirun: whether this is one run of a sweep.
        goals: of each metric that is reported, "min" or "max".
        metric: the name of the one that chooses.
    """

    name: str
    directory: Path
    config: Mapping[str, Any]
    overrides: Sequence[str]
    hashes: Mapping[str, str]
    seeds: Sequence[int]
    steps: int
    step: int
    provenance: Mapping[str, Any]
    multirun: bool = False
    goals: Mapping[str, str] = field(default_factory=dict)
    metric: str = ""


def no_check() -> None:
    """Check nothing: of a part that can always be used."""


class Reporter(NamedTuple):
    """A destination of a run's progress and results. Host only; never seen by compiled code. Calls come in this order.

    Attributes:
        check: ``()``: raises `UserError` where it can't be used; before anything is written. The last argument.
        start: ``(run)``.
        note: ``(text)``: a line for the user; some come before ``start``.
        log: ``(step, split, {metric: [a value per seed]})``: split is "train" or "validation".
        finish: ``(summary, task_scores, provenance)``: the run is complete.
        close: ``(error or None)``: always called last, also after an error or an interrupt.
    """

    start: Callable[[Run], None]
    note: Callable[[str], None]
    log: Callable[[int, str, Mapping[str, Sequence[float]]], None]
    finish: Callable[[Mapping[str, Any], Any, Mapping[str, Any]], None]
    close: Callable[[BaseException | None], None]
    check: Callable[[], None] = no_check
