"""A run's summary as tables and lines: scores, effect of adaptation, verdict, speed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from rich.text import Text

from recmeta.results.screen import lay_out
from recmeta.runs.layout import ADAPTATION_ERRORS, LEARNER, adaptation_error

MISSING = "—"
MOST_STEPS = 8
"""Most columns of the adaptation table; more inner steps are evenly thinned."""


def report(summary: Mapping[str, Any], width: int, learner: str = LEARNER) -> Iterator[Text | str]:
    """Yield the tables and lines of a finished run, in reading order.

    Args:
        summary: contents of ``summary.json``, and optionally ``attainable``: ``{metric: best possible value}``.
        width: columns that a table may take.
        learner: the learner's name in tables and verdicts.
    """
    metric = summary["metric"]
    scenarios = sorted(summary["scores"], key=lambda scenario: scenario != metric["scenario"])
    for scenario in scenarios:
        known = {"attainable": summary.get("attainable") or {}} | bound_rows(
            summary.get("bounds", {}).get(scenario, {})
        )
        yield ""
        yield scenario
        yield score_table(summary["scores"][scenario], metric, known, width, learner)
        yield f"best {metric['name']} first ({better(metric)} is better); ± is half the 95 % interval"
        if found := summary.get("adaptation", {}).get(scenario):
            yield from ("", adaptation_title(scenario, found), adaptation_table(found, width))
            yield adaptation_line(scenario, found)
        if verdict := summary.get("verdict", {}).get(scenario):
            yield f"{scenario}: {learner}: {verdict['text']}"
    yield speed_line(summary.get("speed", {}))


def bound_rows(bounds: Mapping[str, Mapping[str, float | None]]) -> dict[str, dict[str, float | None]]:
    """The rows below the methods: scores of a random order, and of the labels themselves."""
    return {
        row: {metric: bound[name] for metric, bound in bounds.items()}
        for name, row in (("floor", "random order"), ("oracle", "the labels"))
    }


def better(metric: Mapping[str, Any]) -> str:
    """The better direction of a metric, in words."""
    return "higher" if metric["goal"] == "max" else "lower"


def score_table(
    scores: Mapping[str, Any],
    metric: Mapping[str, Any],
    known: Mapping[str, Mapping[str, float | None]],
    width: int,
    learner: str = LEARNER,
) -> Text:
    """A scenario's methods, the best first by the headline metric; methods without it come last.

    Args:
        scores: of each method.
        metric: the headline metric, with its goal.
        known: rows below the methods: values known without measurement.
        width: columns that a table may take.
        learner: the learner's name.
    """
    headline, sign = metric["name"], -1 if metric["goal"] == "max" else 1
    names = dict.fromkeys([headline, *(name for method in scores.values() for name in method)])

    def rank(method: str) -> tuple[bool, float]:
        mean = scores[method].get(headline, {}).get("mean")
        return (mean is None, 0.0 if mean is None else sign * mean)

    body, styles = [], {}
    for method in sorted(scores, key=rank):
        found = scores[method]
        counts = [str(max((score.get(of) or 0 for score in found.values()), default=0)) for of in ("tasks", "seeds")]
        if method == LEARNER:
            styles[len(body)] = "bold"
        named = learner if method == LEARNER else method
        body.append([named, *(score_cell(found.get(name)) for name in names), *counts])
    for row, values in known.items():
        if any(values.get(name) is not None for name in names):
            styles[len(body)] = "dim"
            body.append([row, *(number(values.get(name)) for name in names), "", ""])
    head = ["method", *names, "tasks", "seeds"]
    return lay_out(head, body, ["l", *"r" * (len(head) - 1)], width, styles=styles)


def adaptation_title(scenario: str, found: Mapping[str, Any]) -> str:
    """The title of the adaptation table."""
    return f"{scenario}: {ADAPTATION_ERRORS[adaptation_error(found)[0]]} by shots and inner steps"


def adaptation_table(found: Mapping[str, Any], width: int) -> Text:
    """The error by support size (rows) and inner steps taken (columns)."""
    columns = spread(range(len(found["steps"])), MOST_STEPS)
    head = ["shots \\ steps", *(str(found["steps"][column]) for column in columns)]
    body = [
        [str(shots), *(number(errors[column]) for column in columns)]
        for shots, errors in zip(found["shots"], adaptation_error(found)[1], strict=True)
    ]
    return lay_out(head, body, "r" * len(head), width)


def adaptation_line(scenario: str, found: Mapping[str, Any]) -> str:
    """The mean change of a prediction by adaptation; a no-op is reported as such."""
    if found.get("no_op"):
        return f"{scenario}: adaptation is a no-op: the inner loop changes no prediction"
    if "pairs_changed" in found:
        return f"{scenario}: adaptation changes the order of {found['pairs_changed']:.1%} of the pairs of query rows"
    return f"{scenario}: adaptation changes a prediction by {number(found.get('mean_abs_change'))} on average"


def speed_line(speed: Mapping[str, Any]) -> str:
    """The run's speed; values that were not measured are left out."""
    forms = {
        "compile_s": "compiled in {:.1f} s",
        "train_tasks_per_s": "trained {:,.0f} tasks/s",
        "eval_tasks_per_s": "evaluated {:,.0f} tasks/s",
        "wall_s": "{:.1f} s in all",
        "peak_mb": "peak {:,.0f} MB",
    }
    return "speed: " + ", ".join(form.format(speed[key]) for key, form in forms.items() if speed.get(key) is not None)


def score_cell(score: Mapping[str, Any] | None) -> str:
    """A mean and half its interval.

    >>> score_cell({"mean": 0.75, "ci95": [0.7, 0.8]})
    '0.7500 ±0.0500'
    """
    if score is None or score.get("mean") is None:
        return MISSING
    low, high = score.get("ci95") or (None, None)
    interval = "" if low is None or high is None else f" ±{(high - low) / 2:.4f}"
    return f"{score['mean']:.4f}{interval}"


def number(value: float | None) -> str:
    """Four decimals, or a dash where there is none."""
    return MISSING if value is None else f"{value:.4f}"


def spread(values: Sequence[int], most: int) -> list[int]:
    """At most ``most`` of the values, evenly spaced, the first and the last among them.

    >>> spread(range(11), 3)
    [0, 5, 10]
    """
    if len(values) <= most:
        return list(values)
    return [values[round(i * (len(values) - 1) / (most - 1))] for i in range(most)]
