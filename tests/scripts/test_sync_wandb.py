"""The script that sends offline W&B runs finds those that were not sent, and hands them to ``wandb sync``."""

import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from recmeta.reporters.wandb import wandb
from recmeta.types import Run
from scripts import sync_wandb


@pytest.fixture
def outputs(tmp_path) -> Path:
    for place, time, sent in (("b/1", "20260102", False), ("a/2", "20260101", False), ("a/3", "20260103", True)):
        run = tmp_path / place / "wandb" / f"offline-run-{time}_000000-id"
        run.mkdir(parents=True)
        (run / "run-id.wandb").touch()
        if sent:
            (run / "run-id.wandb.synced").touch()
    (tmp_path / "a" / "4" / "wandb" / "offline-run-20260104_000000-id").mkdir(parents=True)
    (tmp_path / "a" / "4" / "wandb" / "run-20260104_000000-id").mkdir()
    return tmp_path


def test_what_was_not_sent_is_found_oldest_first(outputs):
    found = [path.relative_to(outputs).parts[:2] for path in sync_wandb.unsent(outputs)]
    assert found == [("a", "2"), ("b", "1")]


def test_they_are_handed_to_wandb(outputs, monkeypatch, capsys):
    calls = []
    monkeypatch.setattr(subprocess, "run", lambda call: calls.append(call) or SimpleNamespace(returncode=3))
    assert sync_wandb.main([str(outputs), "--dry-run"]) == 0
    assert calls == []
    assert sync_wandb.main([str(outputs)]) == 3
    assert calls == [[sys.executable, "-m", "wandb", "sync", *map(str, sync_wandb.unsent(outputs))]]
    assert capsys.readouterr().out.count("offline-run-20260101") == 2


def test_nothing_to_send_and_nowhere_to_look(tmp_path, capsys):
    assert sync_wandb.main([str(tmp_path)]) == 0
    assert sync_wandb.main([str(tmp_path / "none")]) == 2
    assert capsys.readouterr().err == f"{tmp_path / 'none'}: no such folder\n"


def test_a_run_that_the_reporter_recorded_is_found(tmp_path):
    reporter = wandb(mode="offline")
    reporter.start(Run("n", tmp_path, {}, [], {"config": "c"}, [0], 1, 0, {}))
    reporter.close(None)
    (run,) = sync_wandb.unsent(tmp_path)
    ended = subprocess.run(
        [sys.executable, "-m", "wandb", "sync", "--dry-run", str(run)], capture_output=True, text=True, check=True
    )
    assert "Would sync 1 run" in ended.stdout + ended.stderr
