"""Ablation tables: the difference of every other learner to the full one."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import polars as pl

from recmeta.results.judging import Judged, Judging, compare
from recmeta.results.labels import method_settings, row_named, tell_apart
from recmeta.results.runs import Finished
from recmeta.types import UserError


@dataclass(frozen=True)
class Ablation:
    """Learners in difference to one of them, the full one.

    Attributes:
        full: the full learner's label.
        changed: label -> the settings in which it differs from the full one, switched off or changed.
        judged: a comparison per label, row minus full; together one family of tests.
    """

    full: str
    changed: Mapping[str, str]
    judged: list[Judged]


def ablate(
    parts: Mapping[str, pl.DataFrame], learners: Mapping[str, Sequence[Finished]], how: Judging, goal: str
) -> Ablation:
    """Compare every learner with the full one, paired per task, corrected over the learners.

    Args:
        parts: label -> task scores, in one scenario, at one support size.
        learners: label -> its runs.
        how: the metric, the test, the correction, and the full learner's label.
        goal: "min" or "max".

    Raises:
        UserError: no learner has that label, or it is the only one.
    """
    there = [label for label in learners if label in parts]
    full = row_named(str(how.ablation), there)
    if full not in there:
        raise UserError(f"--ablation {full}: no such learner; there are {', '.join(there) or 'none'}")
    others = [label for label in there if label != full]
    if not others:
        raise UserError(f"--ablation {full}: it is the only learner; there is nothing to compare it with")
    settings = {label: method_settings(learners[label][0].config) for label in there}
    changed = {label: _changed(settings[full], settings[label]) for label in others}
    pairs = {(label, ""): (parts[label], parts[full]) for label in others}
    return Ablation(full, changed, compare(pairs, full, how, goal))


def _changed(full: Mapping[str, Any], other: Mapping[str, Any]) -> str:
    """The settings in which ``other`` differs from ``full``, as on the command line."""
    before, after = tell_apart([full, other])
    return " ".join(f"{key}={after[key]}" for key in after if before.get(key) != after[key])
