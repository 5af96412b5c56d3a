"""The ledger of tuning budgets: settings tried and seconds spent per method, and whether a comparison was fair.

A *method* is all learners that differ in numbers only (rates, widths, steps, a number that is off). Each of its
settings that was run counts, also one that failed or was pruned. A baseline's settings are those of its grid. Settings
tried elsewhere, in no run directory, are unknown.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import isfinite, isnan
from typing import Any

from recmeta.results.labels import Placeholder, at_key, called, labels, method_settings, tell_apart
from recmeta.results.runs import Finished, Missing
from recmeta.statistics import best_of

VALIDATION = "meta-validation"

UNEQUAL = "†"
"""Marks a verdict on two methods that were tuned over different numbers of settings."""


@dataclass(frozen=True)
class Budget:
    """The tuning budget of a method.

    Attributes:
        method: label of what its settings have in common, or a baseline's name.
        kind: "learner", "baseline" or "imported".
        rows: the table's rows that are its settings.
        tried: number of settings tried; None where unknown.
        failed: number of these that gave no result.
        pruned: number of these that a search stopped early.
        by: selection criterion, "mae on meta-validation"; "" where there is nothing to choose.
        chosen: the setting selected by it; "" where none is, or where the validation splits differ.
        edges: settings whose chosen value is the lowest or the highest tried.
        seconds: of training, with meta-validation, over all its runs, also those without a result; of a baseline, of
            fitting it and trying its settings, over all splits. NaN where not recorded.
    """

    method: str
    kind: str
    rows: Sequence[str]
    tried: int | None
    failed: int
    pruned: int
    by: str
    chosen: str
    edges: Sequence[str]
    seconds: float


def learner_budgets(
    learners: Mapping[str, Sequence[Finished]], missing: Sequence[Missing], searched: Sequence[Finished] = ()
) -> list[Budget]:
    """Count the settings tried, and the seconds spent, of every learner.

    Args:
        learners: label -> its runs.
        missing: runs without results; those of a method count as tried.
        searched: runs that are in no table but count as tried; where a method has any, its setting is chosen by them.
    """
    rows = {label: method_settings(runs[0].config) for label, runs in learners.items()}
    methods: list[Mapping[str, Any]] = []
    rows_of: list[list[str]] = []
    for label, settings_of_row in rows.items():
        if (method := without_numbers(settings_of_row)) in methods:
            rows_of[methods.index(method)].append(label)
        else:
            methods.append(method)
            rows_of.append([label])
    names, _ = labels(methods)
    names = [called(name, learners[some[0]][0].departs) for name, some in zip(names, rows_of, strict=True)]
    ended = [run for run in missing if run.status in ("failed", "pruned") and run.config]
    lost: list[tuple[dict[str, Any], str]] = []  # a setting that failed on every split is one setting
    for run in ended:
        if (own := method_settings(run.config)) not in (*(known for known, _ in lost), *rows.values()):
            lost.append((own, run.status))
    made = []
    for name, method, some in zip(names, methods, rows_of, strict=True):
        before = [run for run in searched if without_numbers(method_settings(run.config)) == method]
        settings = {label: rows[label] for label in some}
        settings |= _unlabelled([method_settings(run.config) for run in before], settings)
        of_setting = {
            label: [run for run in before if method_settings(run.config) == own] if before else learners[label]
            for label, own in settings.items()
        }
        chosen, by = _chosen({label: runs for label, runs in of_setting.items() if runs})
        edges = _edges(settings, chosen) if chosen else []
        failed, pruned = (
            sum(without_numbers(own) == method for own, status in lost if status == how) for how in ("failed", "pruned")
        )
        without = [run for run in ended if without_numbers(method_settings(run.config)) == method]
        with_results = (*before, *(run for label in some for run in learners[label]))
        seconds = sum(run.train_seconds for run in (*with_results, *without))
        best = chosen if len(settings) > 1 else ""
        by = f"{by} on {VALIDATION}" if len(settings) > 1 and by else ""
        tried = len(settings) + failed + pruned
        made.append(Budget(name, "learner", some, tried, failed, pruned, by, best, edges, seconds))
    return made


def _unlabelled(found: Sequence[dict[str, Any]], known: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """The settings that no row of the table has, each once, under names of their own."""
    others: list[dict[str, Any]] = []
    for own in found:
        if own not in (*others, *known.values()):
            others.append(own)
    return {f"a setting that is in no table ({place})": own for place, own in enumerate(others, start=1)}


def baseline_budgets(runs: Sequence[Finished], names: Sequence[str], shots: int) -> list[Budget]:
    """Read the budget of every baseline from the runs' summaries.

    Args:
        runs: comparable runs.
        names: the baselines of the table.
        shots: the table's support size.
    """
    # Splits are identified by their hash; runs of one split fit the same baselines, as far as each lists them.
    once: dict[str, dict[str, Any]] = {}
    for run in runs:
        if "baselines" in run.summary:
            once.setdefault(run.hashes["protocol"], {}).update(run.summary["baselines"])
    known = 1 if once else None  # a baseline that no report lists had nothing to tune
    return [
        _baseline(name, [reports[name] for reports in once.values() if name in reports], shots)
        or Budget(name, "baseline", [name], known, 0, 0, "", "", [], float("nan"))
        for name in names
    ]


def unequal(rows: Sequence[str], reference: str, budgets: Sequence[Budget]) -> dict[str, Budget]:
    """Returns the rows whose method had another number of settings than the reference's, with their budgets."""
    of_row = {row: budget for budget in budgets for row in budget.rows}
    theirs = of_row[reference]
    same = {row: of_row[row] is theirs or theirs.tried == of_row[row].tried is not None for row in rows}
    return {row: of_row[row] for row in rows if not same[row]}


def sentence(reference: str, uneven: Mapping[str, Budget], budgets: Sequence[Budget]) -> str:
    """State in words how unequal budgets differ."""
    theirs = next(budget for budget in budgets if reference in budget.rows)
    ours = dict.fromkeys(_count(budget) for budget in uneven.values())
    return f"{UNEQUAL} unequal budgets: settings tried for {_count(theirs)}; for {', '.join(ours)}"


NUMBER = Placeholder("number")
"""Placeholder for any number, and for null."""


def without_numbers(value: Any) -> Any:
    """Replace every number and null of a config by a placeholder: equal for settings of one method.

    >>> without_numbers({"rate": 0.1, "clip": None, "adapts": "head", "layers": [32, 32], "first_order": True})
    {'rate': number, 'clip': number, 'adapts': 'head', 'layers': number, 'first_order': True}
    """
    if isinstance(value, Mapping):
        return {key: value[key] if key == "_target_" else without_numbers(value[key]) for key in value}
    if isinstance(value, list | tuple):
        inner = [without_numbers(item) for item in value]
        return NUMBER if all(item is NUMBER for item in inner) else inner
    return NUMBER if value is None or (isinstance(value, int | float) and not isinstance(value, bool)) else value


def _chosen(of_row: Mapping[str, Sequence[Finished]]) -> tuple[str, str]:
    """Returns the setting that is best on meta-validation, over the splits that all have, and the metric's name."""
    everyone = [run for runs in of_row.values() for run in runs]
    metrics = {(run.metric, run.goal) for run in everyone}
    validated = [{(run.hashes["protocol"], seed) for run in runs for seed in run.validated} for runs in of_row.values()]
    common = set.intersection(*validated) if validated else set()
    if len(metrics) != 1 or not common:
        return "", ""
    ((metric, goal),) = metrics
    values = {
        label: _mean([
            value
            for run in runs
            for seed, value in run.validated.items()
            if (run.hashes["protocol"], seed) in common
        ])
        for label, runs in of_row.items()
    }  # fmt: skip
    return best_of(values, goal) or "", metric


def _edges(rows: Mapping[str, Mapping[str, Any]], chosen: str) -> list[str]:
    """The numbers that vary over rows and of which the chosen row has the lowest or the highest."""
    apart = dict(zip(rows, tell_apart(list(rows.values())), strict=True))
    found = []
    for key in apart[chosen]:
        values = {label: _number(at_key(row, key)) for label, row in rows.items()}
        known = [value for value in values.values() if value is not None]
        if (own := values[chosen]) is not None and len(set(known)) > 1:
            found += _edge(key, own, known)
    return found


def _edge(name: str, value: float, tried: Sequence[float]) -> list[str]:
    """Report in words a value that is the lowest or the highest tried; nothing for others."""
    if value not in (min(tried), max(tried)):
        return []
    return [f"{name}={value:g} is the {'lowest' if value == min(tried) else 'highest'}"]


def _baseline(name: str, reports: Sequence[Mapping[str, Any]], shots: int) -> Budget | None:
    """Read a baseline's budget from the summary of each split; None where no summary reports it."""
    if not reports:
        return None
    chosen: dict[str, None] = {}
    edges: dict[str, int] = {}
    for report in reports:
        # Keys with a value for each support size are settings.
        values = {key: one for key, one in report.items() if isinstance(one, list) and key != "shots"}
        place = report["shots"].index(shots)
        setting = ", ".join(f"{key.replace('_', ' ')} {one[place]:g}" for key, one in values.items())
        chosen[setting] = None
        for key, tried in report.get("grid", {}).items():
            near = min(tried, key=lambda value: abs(value - values[key][place]))  # settings are single precision
            for edge in _edge(key.replace("_", " "), near, tried) if len(tried) > 1 else ():
                edges[edge] = edges.get(edge, 0) + 1
    many = len(reports)
    return Budget(
        method=name,
        kind="baseline",
        rows=[name],
        tried=max(int(report["tried"]) for report in reports),
        failed=0,
        pruned=0,
        by=f"{reports[0]['by']} on {VALIDATION}" if reports[0].get("by") else "",
        chosen=next(iter(chosen)) if len(chosen) == 1 else f"{len(chosen)} over {many} splits" if chosen else "",
        edges=[edge if many == 1 else f"{edge} in {times} of {many} splits" for edge, times in edges.items()],
        seconds=sum(report.get("seconds", float("nan")) for report in reports),
    )


def _count(budget: Budget) -> str:
    return f"{budget.method}: {'unknown' if budget.tried is None else budget.tried}"


def _number(value: Any) -> float | None:
    is_number = isinstance(value, int | float) and not isinstance(value, bool) and isfinite(value)
    return float(value) if is_number else None


def _mean(values: Sequence[float]) -> float:
    known = [value for value in values if not isnan(value)]
    return sum(known) / len(known) if known and len(known) == len(values) else float("nan")
