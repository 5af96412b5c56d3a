"""One experiment from config to summary: load, split, train, evaluate, report."""

from __future__ import annotations

import errno
import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import polars as pl
import yaml

from recmeta import build, checkpoint, evaluate, provenance, statistics, train
from recmeta.reporters import compose, files
from recmeta.reporters.files import to_json, write
from recmeta.types import Interactions, Learner, Objective, Problem, Reporter, Run, UserError

Config = Mapping[str, Any]


def run(config: Config, overrides: Sequence[str], *, multirun: bool = False) -> dict[str, Any]:
    """Run an experiment, or skip it where it is done, or resume it where it was interrupted.

    Args:
        config: resolved, as plain values.
        overrides: what was typed.
        multirun: whether this is one point of a sweep.

    Returns:
        The summary (DESIGN section 5).

    Raises:
        UserError: for anything the user can put right; before training, nothing is written then.
    """
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    parts = build.build(config)
    reporter = compose(files(), *(make() for make in parts.reporters))
    directory = run_directory(config)
    done = finished(directory, config)
    if done and not config["force"]:
        for line in (f"already done, skipped: {directory} (force=true runs it again)", *verdicts(done)):
            reporter.note(line)
        return done

    data = parts.dataset()
    problem = parts.protocol(data)
    objective = parts.objective()
    build.check_problem(parts, problem, objective)
    learner = build.make_learner(parts, problem, objective)
    make_directory(directory)
    checkpoints = checkpoint.open(directory / "checkpoints", fresh=config["force"])
    error: BaseException | None = None
    try:
        progress, step = prepare(learner, parts, config, checkpoints)
        about = describe(config, overrides, directory, data, problem, step, multirun)
        reporter.start(about)
        for line in notes(data, problem, learner, config):
            reporter.note(line)
        model = (learner, objective, progress) if learner and progress else None
        summary, scores = measured(model, parts, problem, config, reporter, checkpoints)
        peak, wall, compiling = provenance.peak_mb(), clock(), compiled()
        summary["speed"] |= {"compile_s": compiling.seconds, "wall_s": wall, "peak_mb": peak}
        cost = {"wall_s": wall, "compile_s": compiling.seconds, "compilations": compiling.number, "peak_mb": peak}
        head = {"schema": 1, "status": "complete", "name": config["name"], "hashes": about.hashes}
        attainable = {"attainable": dict(data.attainable)} if data.attainable else {}
        summary = head | summary | attainable
        reporter.finish(summary, scores, {**about.provenance, **cost})
        return summary
    except BaseException as raised:
        error = raised
        raise
    finally:
        checkpoints.close()
        reporter.close(error)


def run_directory(config: Config) -> Path:
    """Where the run of a config is written: one directory per config.

    Raises:
        UserError: where the name can't be a folder's.
    """
    name = config["name"]
    if name in ("", ".", "..") or set(name) & set('/\\:*?"<>|'):
        raise UserError(f'name={name}: it names a folder, so give it none of / \\ : * ? " < > |')
    return Path(config["output"]) / name / provenance.config_hash(config)[:12]


def record_failure(config: Config, overrides: Sequence[str], error: BaseException) -> None:
    """Write down a failed point of a sweep where its run would be, if that is known; numbers that are there stand."""
    if not config:
        return
    with suppress(UserError):
        directory = run_directory(config)
        if (directory / "summary.json").exists():
            return
        make_directory(directory)
        said = {"error": " ".join(str(error).split()), "type": type(error).__name__, "overrides": list(overrides)}
        write(directory / "failure.json", to_json(said))


def finished(directory: Path, config: Config) -> dict[str, Any] | None:
    """The summary of a run that is done; None where there is none.

    Raises:
        UserError: where the directory belongs to another config.
    """
    there, summary = directory / "config.yaml", directory / "summary.json"
    try:
        other = yaml.safe_load(there.read_text()) if there.exists() else config
        done = json.loads(summary.read_text()) if summary.exists() else None
    except (OSError, ValueError, yaml.YAMLError) as error:
        raise UserError(f"{directory} is damaged ({' '.join(str(error).split())}); remove it") from error
    if not isinstance(other, Mapping) or provenance.config_hash(other) != provenance.config_hash(config):
        raise UserError(f"{directory} holds a run of another config; remove it, or give another name=")
    return done


def make_directory(directory: Path) -> None:
    """Make the run directory.

    Raises:
        UserError: where it can't be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise UserError(f"output: can't make {directory}: {why}; give another output=") from error


def prepare(
    learner: Learner | None, parts: build.Parts, config: Config, checkpoints: checkpoint.Checkpoints
) -> tuple[train.Progress | None, int]:
    """The progress to start from, fresh or restored, and its step."""
    if learner is None:
        return None, 0
    progress = train.start(learner, parts.optimizer(), config["seeds"], parts.metric.goal)
    return checkpoints.restore(progress) or (progress, 0)


def describe(
    config: Config,
    overrides: Sequence[str],
    directory: Path,
    data: Interactions,
    problem: Problem,
    step: int,
    multirun: bool,
) -> Run:
    """What reporters are told at the start."""
    hashes = {
        "config": provenance.config_hash(config), "data": data.sha256, "protocol": problem.split.sha256,
        "code": provenance.code_hash(),
    }  # fmt: skip
    facts = {
        "hashes": hashes,
        **provenance.environment(),
        "data": {"name": data.name, "counts": dict(data.counts), "notes": list(data.notes)},
        "split": {"counts": dict(problem.split.counts), "leak": dict(problem.split.leak)},
    }
    steps = 0 if config["learner"].get("_target_") is None else config["steps"]
    return Run(
        config["name"], directory, config, overrides, hashes, config["seeds"], steps, step, facts, multirun
    )  # fmt: skip


def notes(data: Interactions, problem: Problem, learner: Learner | None, config: Config) -> list[str]:
    """What the user should know before the numbers: the data, what was dropped, what leaks, what is not used."""
    counts = dict(problem.split.counts)
    lines = [*data.notes, f"{data.name}: " + ", ".join(f"{name} {count:,}" for name, count in data.counts.items())]
    lines.append("split: " + ", ".join(f"{name.replace('_', ' ')} {count:,}" for name, count in counts.items()))
    for name, share in problem.split.leak.items():
        lines.append(f"leak: {name.replace('_', ' ')}: {share:.0%}")
    for group in build.unused_parts(learner) if learner else ():
        target = str(config[group]["_target_"]).rpartition(".")[2]
        lines.append(f"{group}={target} has no part in this learner: its choice changes nothing")
    return lines


def measured(
    model: tuple[Learner, Objective, train.Progress] | None,
    parts: build.Parts,
    problem: Problem,
    config: Config,
    reporter: Reporter,
    checkpoints: checkpoint.Checkpoints,
) -> tuple[dict[str, Any], pl.DataFrame]:
    """Train, then touch the test tasks, once: the summary's numbers and the task scores."""
    frames: list[pl.DataFrame] = []
    adaptation: dict[str, Any] = {}
    scored = evaluate.make_scored(parts.metrics, problem.spec)
    settings: dict[str, Any] = {}
    speed: dict[str, float | None] = {"train_tasks_per_s": None, "eval_tasks_per_s": None}
    if model is not None:
        learner, objective, _ = model
        best, speed["train_tasks_per_s"] = trained(model, parts, problem, config, reporter, checkpoints)
        clock = provenance.stopwatch()
        scores, adaptation = evaluate.evaluate_learner(
            learner, objective, problem, best.params, config["seeds"], scored
        )
        tasks = sum(len(names) for names in problem.names.values())
        adapted = tasks * len(problem.shots) * (learner.steps + 1) * len(config["seeds"])
        # Compilation included: the test tasks are touched once.
        speed["eval_tasks_per_s"] = adapted / clock()
        frames.append(scores)
    if parts.baselines:
        tuned = evaluate.tune_baselines(parts.baselines, problem, parts.metrics, parts.metric)
        settings = evaluate.settings_report(tuned, problem.shots)
        for line in settings_lines(settings, problem.headline):
            reporter.note(line)
        frames.append(evaluate.evaluate_baselines(tuned, problem, jax.random.key(0), scored))
    scores = pl.concat(frames)
    name, goal = parts.metric.name, parts.metric.goal
    table = statistics.summarise(scores, problem.headline)
    scenario = next(iter(problem.test))
    value = table[scenario].get("model", {}).get(name, {}).get("mean")
    summary = {
        "metric": {"name": name, "goal": goal, "scenario": scenario, "value": value, "shots": problem.headline},
        "scores": table,
        "adaptation": adaptation,
        "baselines": settings,
        "verdict": statistics.verdict(scores, name, goal, problem.headline),
        "speed": speed,
    }
    return summary, scores


def trained(
    model: tuple[Learner, Objective, train.Progress],
    parts: build.Parts,
    problem: Problem,
    config: Config,
    reporter: Reporter,
    checkpoints: checkpoint.Checkpoints,
) -> tuple[train.Best, float | None]:
    """Train to the end, and say the tasks per second of all chunks but the first, which compiles."""
    learner, objective, progress = model
    chunk = train.make_chunk(
        learner, objective, parts.optimizer(), problem, parts.metrics, metric=parts.metric,
        steps=config["eval_every"], batch=config["batch"], patience=config["patience"],
    )  # fmt: skip
    seconds: list[float] = []
    clock = provenance.stopwatch()
    per_chunk = config["batch"] * config["eval_every"] * len(config["seeds"])
    for latest, reported in train.train(progress, chunk, problem, steps=config["steps"]):
        progress = latest
        seconds.append(clock())
        rate = {"tasks_per_s": [per_chunk / seconds[-1] / len(config["seeds"])] * len(config["seeds"])}
        # Logged first: what was logged after the checkpoint that a run resumes from is dropped, and logged again.
        reporter.log(reported.step, "train", per_seed(reported.train) | rate)
        reporter.log(reported.step, "validation", per_seed(reported.validation))
        checkpoints.save(reported.step, progress)
        clock = provenance.stopwatch()
    if not bool(jnp.isfinite(progress.best.value).all()):
        raise UserError(
            f"training diverged: no meta-validation {parts.metric.name} was a number; lower optimizer.learning_rate or "
            "learner.inner_rate"
        )
    warm = seconds[1:]
    return progress.best, per_chunk * len(warm) / sum(warm) if warm else None


def settings_lines(settings: Mapping[str, Any], headline: int) -> list[str]:
    """What was chosen for each baseline at the headline support size, out of how many."""
    lines = []
    for name, chosen in settings.items():
        place = chosen["shots"].index(headline)
        numbers = {key: chosen[key][place] for key in chosen if key not in ("tried", "by", "shots")}
        said = ", ".join(f"{key.replace('_', ' ')} {value:g}" for key, value in numbers.items())
        lines.append(f"{name}: {said} at K = {headline}, the best of {chosen['tried']} by meta-validation")
    return lines


def per_seed(values: Mapping[str, Any]) -> dict[str, list[float]]:
    """Plain lists, a value per seed."""
    return {name: value.astype(float).tolist() for name, value in values.items()}


def verdicts(summary: Config) -> list[str]:
    """The verdict lines of a summary."""
    return [f"{scenario}: {verdict['text']}" for scenario, verdict in summary["verdict"].items()]
