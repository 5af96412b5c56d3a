"""The run directory is exactly what DESIGN section 5 says, whatever happens to the run."""

import errno
import json
import os
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest
from omegaconf import OmegaConf

from recmeta.runs.files import write
from recmeta.runs.record import record
from recmeta.types import UserError


def strict_json(path: Path):
    def refuse(constant: str):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


def metric_lines(directory: Path) -> list[dict]:
    return [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]


def test_a_complete_run(make_run, summary, task_scores):
    run, reporter = make_run(), record()
    reporter.start(run)
    assert OmegaConf.to_container(OmegaConf.load(run.directory / "config.yaml")) == run.config
    assert OmegaConf.to_container(OmegaConf.load(run.directory / "overrides.yaml")) == run.overrides
    assert strict_json(run.directory / "provenance.json") == run.provenance
    reporter.note("anything")
    reporter.log(10, "train", {"loss": jnp.array([1.5, jnp.nan])})
    assert metric_lines(run.directory) == [{"step": 10, "split": "train", "loss": [1.5, None]}], "on disk at once"
    reporter.log(10, "validation", {"mae": [np.float32(0.5), 0.25], "ndcg@5": np.array([1.0, np.inf])})
    assert not (run.directory / "summary.json").exists()
    reporter.finish(summary | {"odd": float("nan")}, task_scores, {"wall_s": np.float64(3.5), "devices": ("cpu",)})
    reporter.close(None)

    assert strict_json(run.directory / "summary.json") == summary | {"odd": None}
    assert strict_json(run.directory / "provenance.json") == {"wall_s": 3.5, "devices": ["cpu"]}
    assert metric_lines(run.directory)[1] == {
        "step": 10,
        "split": "validation",
        "mae": [0.5, 0.25],
        "ndcg@5": [1, None],
    }
    assert pl.read_parquet(run.directory / "task_scores.parquet").equals(task_scores)
    assert sorted(os.listdir(run.directory)) == sorted(
        ["config.yaml", "overrides.yaml", "provenance.json", "metrics.jsonl", "task_scores.parquet", "summary.json"]
    )


def test_a_failed_run_says_why_in_one_line_and_the_next_start_forgets_it(make_run):
    run, reporter = make_run(), record()
    reporter.start(run)
    reporter.close(ValueError("the loss\nis not finite"))
    failure = strict_json(run.directory / "failure.json")
    assert failure.pop("time").endswith("+00:00")
    assert failure == {"error": "the loss is not finite", "type": "ValueError"}
    assert not (run.directory / "summary.json").exists()
    record().start(run)
    assert not (run.directory / "failure.json").exists()


def test_an_error_after_the_summary_leaves_it(make_run, summary, task_scores):
    run, reporter = make_run(), record()
    reporter.start(run)
    reporter.finish(summary, task_scores, {})
    reporter.close(RuntimeError("of another reporter"))
    assert (run.directory / "summary.json").exists()
    assert not (run.directory / "failure.json").exists()


def test_starting_again_takes_the_old_summary_away(make_run, summary, task_scores):
    run = make_run()
    reporter = record()
    reporter.start(run)
    reporter.log(10, "train", {"loss": [1.0, 1.0]})
    reporter.finish(summary, task_scores, {})
    record().start(run)
    assert not {"summary.json", "task_scores.parquet"} & set(os.listdir(run.directory))
    assert metric_lines(run.directory) == []


def test_resuming_drops_what_the_checkpoint_does_not_know(make_run):
    reporter = record()
    reporter.start(make_run())
    for step in (10, 20, 30):
        reporter.log(step, "train", {"loss": [step / 10, 0.0]})
    reporter.close(KeyboardInterrupt())
    run = make_run(step=20)
    with (run.directory / "metrics.jsonl").open("a") as stream:
        stream.write('{"step": 40, "spl')  # the interrupt came in the middle of a line
    resumed = record()
    resumed.start(run)
    assert [line["step"] for line in metric_lines(run.directory)] == [10, 20]
    resumed.log(30, "train", {"loss": [9.0, 9.0]})
    assert metric_lines(run.directory)[2] == {"step": 30, "split": "train", "loss": [9.0, 9.0]}


def test_a_damaged_line_is_named(make_run):
    run = make_run(step=20)
    (run.directory / "metrics.jsonl").write_text('{"step": 1}\n{"st\n{"step": 3}\n')
    with pytest.raises(UserError, match=r"metrics\.jsonl: cannot be read"):
        record().start(run)


def test_a_full_disk_is_one_line_and_leaves_no_half_summary(make_run, summary, task_scores, monkeypatch):
    run, reporter = make_run(), record()
    reporter.start(run)

    def full(descriptor: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(UserError, match=r"^no space left for [^\n]+$") as caught:
        reporter.finish(summary, task_scores, {})
    assert str(run.directory) in str(caught.value)
    assert sorted(os.listdir(run.directory)) == sorted(
        ["config.yaml", "overrides.yaml", "provenance.json", "metrics.jsonl"]
    )


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
def test_a_metric_that_does_not_fit_the_disk_is_one_line(make_run):
    run, reporter = make_run(), record()
    reporter.start(run)
    (run.directory / "metrics.jsonl").unlink()
    (run.directory / "metrics.jsonl").symlink_to("/dev/full")
    with pytest.raises(UserError, match="no space left for"):
        reporter.log(10, "train", {"loss": [1.0, 2.0]})


def test_other_refusals_of_the_disk_are_one_line(make_run):
    run = make_run()
    run.directory.rmdir()
    run.directory.write_text("a file")
    with pytest.raises(
        UserError, match=r"^can't write [^\n]+ \(Not a directory\); make it writable, or give another out"
    ):
        record().start(run)


def test_a_part_left_by_a_killed_process_goes(make_run):
    run = make_run()
    (run.directory / ".summary.json.99999999.part").write_text("{")
    record().start(run)
    assert not list(run.directory.glob(".*.part"))


def test_two_processes_write_parts_of_their_own(tmp_path, monkeypatch):
    seen = []
    monkeypatch.setattr(os, "replace", lambda part, path: seen.append(part.name))
    write(tmp_path / "summary.json", "{}")
    monkeypatch.setattr(os, "getpid", lambda: 2)
    write(tmp_path / "summary.json", "{}")
    assert len(set(seen)) == 2


def test_closing_what_never_started_is_fine(make_run):
    record().close(ValueError("before the start"))
