"""Group comparable runs, and pool their task scores in one frame, each score once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import polars as pl

from recmeta.results.labels import at_key, called, labels, method_settings, table_settings
from recmeta.results.runs import Finished
from recmeta.statistics import KEYS, metric_names, number

SAME = 1e-6
"""Scores of one method on one task agree if they differ by no more than this."""


class Pooled(NamedTuple):
    """All task scores of comparable runs, each once.

    Attributes:
        scores: the task scores with the columns ``row`` (a learner's label or a baseline's name), ``kind`` ("learner"
            or "baseline") and ``split`` besides.
        learners: label -> the runs of a learner, with equal `method_settings`.
        notes: caveats for the reader.
    """

    scores: pl.DataFrame
    learners: Mapping[str, Sequence[Finished]]
    notes: Sequence[str]


def comparable(runs: Sequence[Finished]) -> list[list[Finished]]:
    """Group runs by their test: the data, and the protocol without its seed and its training settings."""
    groups: list[list[Finished]] = []
    for run in runs:
        for others in groups:
            if others[0].hashes["data"] == run.hashes["data"] and table_settings(others[0].config) == table_settings(
                run.config
            ):
                others.append(run)
                break
        else:
            groups.append([run])
    return groups


def pool(runs: Sequence[Finished]) -> Pooled:
    """Pool the task scores of comparable runs; baselines, which every run holds, are kept once."""
    own = [method_settings(run.config) if run.trains else None for run in runs]
    methods: list[dict[str, Any]] = []
    for method in own:
        if method is not None and method not in methods:
            methods.append(method)
    names, also = labels(methods)
    names = [called(name, runs[own.index(method)].departs) for name, method in zip(names, methods, strict=True)]
    named = ["" if method is None else names[methods.index(method)] for method in own]
    splits, notes = _splits(runs)
    model = pl.col("method") == "model"
    parts, before = [], {}
    for run, name, split in zip(runs, named, splits, strict=True):
        where = {"split": pl.lit(split), "run": pl.lit(str(run.directory))}
        learner = run.scores.filter(model).with_columns(row=pl.lit(name), kind=pl.lit("learner"), **where)
        baselines = run.scores.filter(~model)
        # Usually equal to those of the previous run: a thousand runs would add them a thousand times.
        if split not in before or not before[split].equals(baselines):
            parts.append(baselines.with_columns(row="method", kind=pl.lit("baseline"), **where))
        before.setdefault(split, baselines)
        parts.append(learner)
    frame = pl.concat(parts, how="diagonal_relaxed")
    keys, metrics = ["row", "kind", "split", *KEYS], metric_names(frame)
    grouped = frame.with_columns(pl.col(metrics).fill_nan(None)).group_by(keys, maintain_order=True)
    once = grouped.agg(pl.exclude(*keys, "run").drop_nulls().first())
    more = [f"the rows differ in these settings too: {', '.join(also)}"] if also else []
    caveats = [*_disagreements(grouped, metrics), *more, *notes, *_code_notes(runs, named)]
    learners = {name: [run for run, own in zip(runs, named, strict=True) if own == name] for name in names}
    return Pooled(once, learners, caveats)


def _disagreements(grouped: Any, metrics: Sequence[str]) -> list[str]:
    """Notes on methods for which runs of one split have different scores."""
    spread = grouped.agg(pl.col(metrics).max() - pl.col(metrics).min(), pl.col("run").unique(maintain_order=True))
    notes = []
    for (row,), part in spread.filter(pl.any_horizontal(pl.col(metrics) > SAME)).group_by("row", maintain_order=True):
        most = part.select(pl.col(metrics).max()).row(0, named=True)
        worst = ", ".join(f"{number(apart)} {name}" for name, apart in most.items() if apart and apart > SAME)
        where = ", ".join(part["run"].explode().unique(maintain_order=True))
        notes.append(f"{row}: runs of the same split disagree, by up to {worst}; used is the first of {where}")
    return notes


def _splits(runs: Sequence[Finished]) -> tuple[list[str], list[str]]:
    """Identify the split of each run by its hash; note seeds whose split was not always the same.

    The hash includes the meta-validation rows. Where two runs differ in how many of those are drawn, equal seeds and
    equal test tasks count as one split. (If the splits do differ, their baselines disagree, and a note reports it.)
    """
    known: list[tuple[Any, Any, frozenset[str], str]] = []
    splits: list[str] = []
    for run in runs:
        protocol, split = _protocol(run), run.hashes["protocol"]
        seed, draws = protocol.get("seed"), at_key(protocol, "episodes.validation_draws")
        tasks = frozenset(run.scores["task"].unique())
        for other_seed, other_draws, others, other in known:
            if other == split or (other_seed == seed and other_draws != draws and others == tasks):
                split = other
                break
        else:
            known.append((seed, draws, tasks, split))
        splits.append(split)
    by_seed: dict[Any, dict[str, None]] = {}
    for seed, _, _, split in known:
        by_seed.setdefault(seed, {})[split] = None
    return splits, [
        f"protocol.seed={seed} made {len(made)} splits ({', '.join(name[:8] for name in made)}): equal ones pair"
        for seed, made in by_seed.items()
        if len(made) > 1
    ]


def _code_notes(runs: Sequence[Finished], names: Sequence[str]) -> list[str]:
    """Note rows that pool runs of different code."""
    codes: dict[str, dict[str, None]] = {}
    for run, name in zip(runs, names, strict=True):
        if code := run.hashes.get("code"):
            for row in {name, "the baselines"} - {""}:
                codes.setdefault(row, {})[code[:8]] = None
    mixed = {row: found for row, found in codes.items() if len(found) > 1}
    if not mixed:
        return []
    every = dict.fromkeys(code for found in mixed.values() for code in found)
    return [f"runs of different code ({', '.join(every)}) are pooled in one row: {', '.join(sorted(mixed))}"]


def _protocol(run: Finished) -> Mapping[str, Any]:
    return run.config.get("protocol") or {}
