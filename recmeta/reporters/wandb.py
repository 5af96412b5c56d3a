"""Report to Weights & Biases, a mirror of the run directory. Offline unless the user is logged in.

``scripts/sync_wandb.py`` sends runs recorded offline; everything sent is in the run directory too.
``WANDB_NAME``, ``WANDB_RUN_GROUP``, ``WANDB_JOB_TYPE`` and ``WANDB_DIR`` are what they are to W&B's own client.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np

from recmeta.reporters import environment
from recmeta.reporters.server import PATIENCE, choose_mode, give_up
from recmeta.results.labels import choice
from recmeta.runs import layout
from recmeta.runs.files import one_line, plain, read_metrics
from recmeta.runs.hashing import WITHOUT_EFFECT
from recmeta.runs.layout import ADAPTATION_ERRORS, adaptation_error
from recmeta.types import Pruned, Reporter, Run, UserError

ARTIFACTS: Mapping[str, str] = {"task_scores": layout.TASK_SCORES, "checkpoint": layout.CHECKPOINTS}
"""Artifacts of a run directory: their type, and their path in it."""

PROJECT = "recmeta"
"""The W&B project where nobody names one."""

NAME = 100
"""Most characters of a W&B run's name before its hash: W&B takes 128."""


# Long: the calls of a reporter share its open run.
def wandb(
    *,
    project: str | None = None,
    entity: str | None = None,
    mode: str | None = None,
    tags: Sequence[str] = (),
    notes: str | None = None,
    artifacts: Sequence[Literal["task_scores", "checkpoint"]] = ("task_scores",),
) -> Reporter:
    """Report to Weights & Biases: one W&B run per run, in the group of its name.

    Args:
        project: the W&B project; None: the value of ``WANDB_PROJECT``, else recmeta.
        entity: user or team; None for the user's default.
        mode: online, offline or disabled. None: the value of ``WANDB_MODE``; else online where an API key is found
            (environment, W&B settings, netrc), else offline; see `recmeta.reporters.server.choose_mode`.
        tags: of the W&B run, or those of ``WANDB_TAGS``, besides the choices that tell runs apart, as ``learner=maml``.
        notes: of the W&B run; None: the value of ``WANDB_NOTES``, else the overrides.
        artifacts: parts of the run directory to upload.

    Raises:
        UserError: the mode is unknown, or online is asked for and W&B cannot be used.
    """
    run: Run | None = None
    live: Any = None
    defined: set[str] = set()
    chosen = ""

    def check() -> None:
        nonlocal chosen
        chosen = choose_mode(mode)

    def start(started: Run) -> None:
        nonlocal run, live
        run = started
        if not chosen:
            check()
        if chosen == "disabled":
            return
        defined.clear()
        about = {"project": project, "entity": entity, "tags": tags, "notes": notes}
        live = _open(run, chosen, mode, about)
        live.define_metric("step", hidden=True)
        for line in _earlier(run):
            log(line.pop("step"), line.pop("split"), line)

    def log(step: int, split: str, metrics: Mapping[str, Sequence[float]]) -> None:
        if live is None or run is None:
            return
        row = dict(_series(split, metrics, run.seeds))
        _define(live, row.keys() - defined, run.goals)
        defined.update(row)
        live.log({"step": step, **row})

    def finish(summary: Mapping[str, Any], task_scores: Any, provenance: Mapping[str, Any]) -> None:
        if live is None or run is None:
            return
        paths = {kind: run.directory / ARTIFACTS[kind] for kind in artifacts}
        _send_results(live, summary, f"{run.name}-{run.hashes['config'][:8]}", paths)

    def close(error: BaseException | None) -> None:
        nonlocal live
        ending, live = live, None
        if ending is not None:
            ending.finish(exit_code=0 if error is None or isinstance(error, Pruned) else 1)

    return Reporter(start=start, note=lambda text: None, log=log, finish=finish, close=close, check=check)


def flattened(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    """Flatten nested mappings to slashed names; an interval becomes its two ends, other lists are left out.

    >>> dict(flattened({"a": {"mean": 1.0, "ci95": [0.5, 1.5]}, "shots": [0, 5, 20]}))
    {'a/mean': 1.0, 'a/ci95_low': 0.5, 'a/ci95_high': 1.5}
    """
    for name, value in values.items():
        if isinstance(value, Mapping):
            yield from flattened(value, f"{prefix}{name}/")
        elif name == "ci95" and value is not None:
            yield from ((f"{prefix}{name}_low", value[0]), (f"{prefix}{name}_high", value[1]))
        elif isinstance(value, str | bool | int | float):
            yield f"{prefix}{name}", value


def display_name(run: Run) -> str:
    """The name of a run in W&B's list: learner, settings, and the config's hash."""
    own = [text for text in run.overrides if not text.startswith(("learner=", *(f"{key}=" for key in WITHOUT_EFFECT)))]
    learner = choice(run.config.get("learner"))
    return f"{textwrap.shorten(' '.join([learner, *own]), NAME, placeholder=' …')} {run.hashes['config'][:8]}"


def _tags(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The choices that distinguish runs; W&B takes tags of up to 64 characters."""
    groups = ("learner", "dataset", "protocol", "encoder", "objective")
    return tuple(f"{group}={choice(config[group])}"[:64] for group in groups if group in config)


def _open(run: Run, chosen: str, configured: str | None, about: Mapping[str, Any]) -> Any:
    """Open a W&B run; offline where it can't be opened online, unless the config asks for that.

    Raises:
        UserError: it can't be opened.
    """
    try:
        return _begin(run, chosen, **about)
    except Exception as error:  # the client raises errors of many kinds, a StopIteration among them
        reason = one_line(error) or type(error).__name__
        if chosen == "offline":
            raise UserError(f"Weights & Biases cannot be used ({reason}): set WANDB_MODE=disabled") from error
        give_up(configured, reason)
        return _begin(run, "offline", **about)


def _begin(
    run: Run, mode: str, *, project: str | None, entity: str | None, tags: Sequence[str], notes: str | None
) -> Any:
    import wandb as client  # here, since it takes half a second and not every run reports to it

    own = {
        "project": PROJECT, "name": display_name(run), "group": run.name,
        "job_type": "sweep" if run.multirun else "train", "notes": " ".join(run.overrides), "tags": (),
        "dir": run.directory,
    }  # fmt: skip
    chosen = environment.settings({"project": project, "tags": tags, "notes": notes}, own, os.environ)
    return client.init(
        mode=mode,  # pyright: ignore[reportArgumentType]
        entity=entity,
        **{**chosen, "tags": (*chosen["tags"], *_tags(run.config))},
        config={**plain(run.config), "hashes": dict(run.hashes), "provenance": plain(run.provenance)},
        # Several runs may be open in one process (a fused sweep), and none may end another.
        reinit="create_new",
        settings=client.Settings(silent=True, console="off", init_timeout=PATIENCE),
    )


def _series(split: str, metrics: Mapping[str, Sequence[float]], seeds: Sequence[int]) -> Iterator[tuple[str, float]]:
    for name, given in metrics.items():
        values = np.asarray(given, float)  # null in metrics.jsonl is NaN
        yield f"{split}/{name}", float(values.mean())
        for seed, value in zip(seeds, values, strict=True):
            yield f"{split}/{name}/seed{seed}", float(value)


def _define(live: Any, names: Iterable[str], goals: Mapping[str, str]) -> None:
    """Declare series over the outer step, with the value that W&B keeps of each."""
    for name in names:
        live.define_metric(name, step_metric="step", summary=_summarised(name, goals))


def _earlier(run: Run) -> list[dict[str, Any]]:
    """Logged lines before the interrupt of a resumed run, which is a new W&B run that they belong to too."""
    return [line for line in read_metrics(run.directory) if line["step"] <= run.step] if run.step else []


def _send_results(live: Any, summary: Mapping[str, Any], name: str, artifacts: Mapping[str, Path]) -> None:
    """Send the summary, the score table, pictures of adaptation, and artifacts by their type."""
    live.summary.update(dict(flattened(summary)))
    pictures = dict(_pictures(summary.get("adaptation", {}), Path(live.dir)))
    live.log({"score_table": _table(summary["scores"]), **pictures})
    for kind, path in artifacts.items():
        live.log_artifact(_artifact(kind, name, path))


def _summarised(name: str, goals: Mapping[str, str]) -> str | None:
    """The value of a series that W&B keeps as its summary: the best on meta-validation, else the last."""
    split, metric = name.split("/")[:2]
    return goals.get(metric) if split == "validation" else None


def _table(scores: Mapping[str, Any]) -> Any:
    import wandb as client

    rows: Any = [
        [scenario, method, metric, score["mean"], *(score.get("ci95") or (None, None)), score["tasks"], score["seeds"]]
        for scenario, methods in scores.items()
        for method, metrics in methods.items()
        for metric, score in metrics.items()
    ]
    columns: list[Any] = ["scenario", "method", "metric", "mean", "ci95_low", "ci95_high", "tasks", "seeds"]
    return client.Table(columns=columns, data=rows)


def _pictures(adaptation: Mapping[str, Any], directory: Path) -> Iterator[tuple[str, Any]]:
    """Plot the error by inner step, a line per support size, where there are inner steps."""
    import wandb as client

    from recmeta.results.figures.style import canvas, legend_below, line_style, save

    for scenario, found in adaptation.items():
        if len(found["steps"]) < 2:
            continue
        key, by_shots = adaptation_error(found)
        title = f"{scenario}: {ADAPTATION_ERRORS[key]} by inner step"
        figure, axes = canvas(title, "inner steps taken", key.replace("_", " "))
        for at, (shots, errors) in enumerate(zip(found["shots"], by_shots, strict=True)):
            axes.plot(found["steps"], errors, label=f"K = {shots}", **line_style(at))
        axes.set_xticks(found["steps"] if len(found["steps"]) < 12 else found["steps"][:: len(found["steps"]) // 6])
        legend_below(figure, axes)
        path = directory / f"adaptation-{scenario}.png"
        save(figure, path)
        yield f"adaptation/{scenario}", client.Image(str(path))


def _artifact(kind: str, run: str, path: Path) -> Any:
    import wandb as client

    artifact = client.Artifact(f"{run}-{kind}", type=kind)
    # Not add_dir, which prints.
    for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
        if file.is_file():
            artifact.add_file(str(file), name=str(file.relative_to(path)) if file != path else path.name)
    return artifact
