"""Write the record of a run: its directory, that everything else mirrors."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from recmeta.runs import layout
from recmeta.runs.files import disk_errors, one_line, read_metrics, to_json, to_line, to_yaml, write
from recmeta.types import Reporter, Run

STALE = (layout.SUMMARY, layout.FAILURE, layout.TASK_SCORES, layout.CALIBRATION)
"""What an earlier run in the same directory may have left, and a new one removes when it starts."""


def record() -> Reporter:
    """Write the run directory: config, overrides, provenance, metrics, task scores, and last of all the summary.

    A value that is not finite is null. Raises `UserError` where the disk is full, or can't be written.
    """
    run: Run | None = None
    done = False

    def start(started: Run) -> None:
        nonlocal run
        run = started
        with disk_errors(run.directory):
            # Parts are named by process, and one that was killed left its own.
            for left in (*map(run.directory.joinpath, STALE), *run.directory.glob(".*.part")):
                left.unlink(missing_ok=True)
            write(run.directory / layout.CONFIG, to_yaml(dict(run.config)))
            write(run.directory / layout.OVERRIDES, to_yaml(list(run.overrides)))
            write(run.directory / layout.PROVENANCE, to_json(run.provenance))
            lines = [line for line in read_metrics(run.directory) if line["step"] <= run.step] if run.step else []
            write(run.directory / layout.METRICS, "".join(to_line(line) for line in lines))

    def log(step: int, split: str, metrics: Mapping[str, Sequence[float]]) -> None:
        assert run is not None
        # Opened for each line: on disk at once, and nothing is held that could be lost.
        with disk_errors(run.directory), (run.directory / layout.METRICS).open("a", encoding="utf-8") as stream:
            stream.write(to_line({"step": step, "split": split, **metrics}))

    def finish(summary: Mapping[str, Any], task_scores: Any, provenance: Mapping[str, Any]) -> None:
        nonlocal done
        assert run is not None
        parquet = io.BytesIO()
        task_scores.write_parquet(parquet)
        with disk_errors(run.directory):
            write(run.directory / layout.TASK_SCORES, parquet.getvalue())
            write(run.directory / layout.PROVENANCE, to_json(provenance))
            write(run.directory / layout.SUMMARY, to_json(summary))
        done = True

    def close(error: BaseException | None) -> None:
        # An error after the summary is another reporter's: the numbers stand.
        if run is None or error is None or done:
            return
        failure = {
            "error": one_line(error), "type": type(error).__name__,
            "time": datetime.now(UTC).isoformat(timespec="seconds"),
        }  # fmt: skip
        with disk_errors(run.directory):
            write(run.directory / layout.FAILURE, to_json(failure))

    return Reporter(start=start, note=lambda text: None, log=log, finish=finish, close=close)
