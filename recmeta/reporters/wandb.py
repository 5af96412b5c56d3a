"""Report to Weights & Biases, a mirror of the run directory. Offline unless the user is logged in.

``scripts/sync_wandb.py`` sends runs recorded offline; everything sent is in the run directory too.
``WANDB_NAME``, ``WANDB_RUN_GROUP``, ``WANDB_JOB_TYPE`` and ``WANDB_DIR`` are what they are to W&B's own client.
"""

from __future__ import annotations

import netrc
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import numpy as np

from recmeta.reporters import environment
from recmeta.runs import layout
from recmeta.runs.files import plain, read_metrics
from recmeta.runs.layout import ADAPTATION_ERRORS, adaptation_error
from recmeta.types import Pruned, Reporter, Run, UserError

MODES = ("online", "offline", "disabled")
ARTIFACTS: Mapping[str, str] = {"task_scores": layout.TASK_SCORES, "checkpoint": layout.CHECKPOINTS}
"""Artifacts of a run directory: their type, and their path in it."""

PROJECT = "recmeta"
"""The W&B project where nobody names one."""

# Keys were issued for this host before the client's default address changed; the client still accepts them.
_OLDER_HOST = "api.wandb.ai"


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
            (environment, W&B settings, netrc), else offline.
        tags: of the W&B run; without any, those of ``WANDB_TAGS``.
        notes: of the W&B run; None: the value of ``WANDB_NOTES``, else the overrides.
        artifacts: parts of the run directory to upload.

    Raises:
        UserError: the mode is unknown, or W&B cannot be reached.
    """
    run: Run | None = None
    live: Any = None
    defined: set[str] = set()

    def start(started: Run) -> None:
        nonlocal run, live
        run = started
        chosen = _mode(mode)
        if chosen == "disabled":
            return
        defined.clear()
        live = _begin(run, chosen, project=project, entity=entity, tags=tuple(tags), notes=notes)
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
        _send_results(live, summary, {kind: run.directory / ARTIFACTS[kind] for kind in artifacts})

    def close(error: BaseException | None) -> None:
        nonlocal live
        ending, live = live, None
        if ending is not None:
            ending.finish(exit_code=0 if error is None or isinstance(error, Pruned) else 1)

    return Reporter(start=start, note=lambda text: None, log=log, finish=finish, close=close)


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


def logged_in(base_url: str) -> bool:
    """Whether netrc holds a key for this W&B server. Asks neither the user nor the network.

    Raises:
        UserError: the file cannot be parsed.
    """
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if not path.is_file():
        return False
    hosts = {urlsplit(base_url).netloc} | (set() if "WANDB_BASE_URL" in os.environ else {_OLDER_HOST})
    try:
        return not hosts.isdisjoint(netrc.netrc(path).hosts)
    except netrc.NetrcParseError as error:
        raise UserError(f"{path} cannot be read ({error}): put it right, or set WANDB_MODE=offline") from error


def _mode(configured: str | None) -> str:
    chosen = configured or os.environ.get("WANDB_MODE")
    if chosen:
        if chosen not in MODES:
            raise UserError(
                f"the W&B mode is one of {', '.join(MODES)}, not {chosen!r} (reporter.wandb.mode, WANDB_MODE)"
            )
        return chosen
    import wandb as client

    settings = client.setup().settings
    known = settings.api_key or settings.identity_token_file or logged_in(settings.base_url)
    return "online" if known else "offline"


def _begin(
    run: Run, mode: str, *, project: str | None, entity: str | None, tags: tuple[str, ...], notes: str | None
) -> Any:
    import wandb as client  # here, since it takes half a second and not every run reports to it

    own = {
        "project": PROJECT, "name": f"{run.name}-{run.hashes['config'][:8]}", "group": run.name,
        "job_type": "sweep" if run.multirun else "train", "notes": " ".join(run.overrides), "tags": (),
        "dir": run.directory,
    }  # fmt: skip
    chosen = environment.settings({"project": project, "tags": tags, "notes": notes}, own, os.environ)

    try:
        return client.init(
            mode=mode,  # pyright: ignore[reportArgumentType]
            entity=entity,
            **chosen,
            config={**plain(run.config), "hashes": dict(run.hashes), "provenance": plain(run.provenance)},
            # Several runs may be open in one process (a fused sweep), and none may end another.
            reinit="create_new",
            settings=client.Settings(silent=True, console="off"),
        )
    except client.Error as error:
        reason = " ".join(str(error).split())
        raise UserError(
            f"Weights & Biases cannot be used ({reason}): set WANDB_MODE=offline to go on without"
        ) from error


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


def _send_results(live: Any, summary: Mapping[str, Any], artifacts: Mapping[str, Path]) -> None:
    """Send the summary, the score table, pictures of adaptation, and artifacts by their type."""
    live.summary.update(dict(flattened(summary)))
    pictures = dict(_pictures(summary.get("adaptation", {}), Path(live.dir)))
    live.log({"score_table": _table(summary["scores"]), **pictures})
    for kind, path in artifacts.items():
        live.log_artifact(_artifact(kind, live.name, path))


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
