"""The run directory: the record of a run that everything else is a mirror of."""

from __future__ import annotations

import errno
import io
import json
import math
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
from omegaconf import OmegaConf

from recmeta.types import Reporter, Run, UserError

_FROM_THE_RUN_BEFORE = ("summary.json", "failure.json", "task_scores.parquet")


def files() -> Reporter:
    """Writes the run directory: config, overrides, provenance, metrics, task scores, and last of all the summary.

    ``summary.json`` means done, and ``failure.json`` says how a run that is not done ended: never both. A value that
    is not finite is null. Raises `UserError` where the disk is full, or can't be written.
    """
    run: Run | None = None
    done = False

    def start(started: Run) -> None:
        nonlocal run
        run = started
        with disk(run.directory):
            # Parts are named by process, and one that was killed left its own.
            for left in (*map(run.directory.joinpath, _FROM_THE_RUN_BEFORE), *run.directory.glob(".*.part")):
                left.unlink(missing_ok=True)
            write(run.directory / "config.yaml", OmegaConf.to_yaml(OmegaConf.create(dict(run.config))))
            write(run.directory / "overrides.yaml", OmegaConf.to_yaml(OmegaConf.create(list(run.overrides))))
            write(run.directory / "provenance.json", to_json(run.provenance))
            lines = [line for line in read_metrics(run.directory) if line["step"] <= run.step] if run.step else []
            write(run.directory / "metrics.jsonl", "".join(_line(line) for line in lines))

    def log(step: int, split: str, metrics: Mapping[str, Sequence[float]]) -> None:
        assert run is not None
        # Opened for each line: on disk at once, and nothing is held that could be lost.
        with disk(run.directory), (run.directory / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(_line({"step": step, "split": split, **metrics}))

    def finish(summary: Mapping[str, Any], task_scores: Any, provenance: Mapping[str, Any]) -> None:
        nonlocal done
        assert run is not None
        parquet = io.BytesIO()
        task_scores.write_parquet(parquet)
        with disk(run.directory):
            write(run.directory / "task_scores.parquet", parquet.getvalue())
            write(run.directory / "provenance.json", to_json(provenance))
            write(run.directory / "summary.json", to_json(summary))
        done = True

    def close(error: BaseException | None) -> None:
        # An error after the summary is another reporter's: the numbers stand.
        if run is None or error is None or done:
            return
        said = " ".join(str(error).split())
        now = datetime.now(UTC).isoformat(timespec="seconds")
        with disk(run.directory):
            write(run.directory / "failure.json", to_json({"error": said, "type": type(error).__name__, "time": now}))

    return Reporter(start=start, note=lambda text: None, log=log, finish=finish, close=close)


def read_metrics(directory: Path) -> list[dict[str, Any]]:
    """Reads ``metrics.jsonl``: an object per line, without a last line that an interrupt cut short.

    Raises:
        UserError: a line before the last is not JSON.
    """
    path = directory / "metrics.jsonl"
    if not path.exists():
        return []
    whole = path.read_text(encoding="utf-8").split("\n")[:-1]  # what follows the last newline was cut short
    try:
        return [json.loads(line) for line in whole]
    except json.JSONDecodeError as error:
        raise UserError(f"{path} is damaged ({error}); remove the folder, or set force=true") from error


@contextmanager
def disk(directory: Path) -> Iterator[None]:
    """One line for what the disk refuses.

    Raises:
        UserError: for any `OSError` inside.
    """
    try:
        yield
    except OSError as error:
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise UserError(f"no space left for {directory}: free some, and the same command resumes") from error
        why = error.strerror or error
        raise UserError(f"can't write {directory} ({why}); make it writable, or give another output=") from error


def write(path: Path, content: str | bytes) -> None:
    """Writes a file whole or not at all: beside its place first, then into it."""
    beside = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with beside.open("wb") as stream:
            stream.write(content.encode("utf-8") if isinstance(content, str) else content)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def to_json(value: Any) -> str:
    """Valid JSON, indented; what is not finite is null."""
    return json.dumps(plain(value), indent=2, allow_nan=False) + "\n"


def plain(value: Any) -> Any:
    """Plain values of arrays, numpy scalars, tuples, mappings and paths; what is not finite becomes None.

    >>> plain({"a": (np.float32(0.5), float("nan")), 1: np.arange(2)})
    {'a': [0.5, None], '1': [0, 1]}
    """
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, np.generic):
        return value.item()
    if hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist())
    return str(value) if isinstance(value, Path) else value


def _line(entry: Mapping[str, Any]) -> str:
    return json.dumps(plain(entry), allow_nan=False) + "\n"
