"""The command line from end to end."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path

import polars as pl
import pytest

import recmeta
from recmeta import cli
from recmeta.experiment import run as experiment
from tests.command import call


@pytest.mark.parametrize(("typed", "said"), [("--help", "anil, balanced, "), ("--cfg job", "inner_steps: 5")])
def test_hydras_own_flags(monkeypatch, capfd, typed, said):
    assert call(monkeypatch, *typed.split()) == 0
    assert said in " ".join(capfd.readouterr().out.split())


def test_hydras_own_flag_that_sets_up_logging():
    """And the package's own way in, `python -m recmeta`."""
    ended = subprocess.run([sys.executable, "-m", "recmeta", "--info"], capture_output=True, text=True)
    assert ended.returncode == 0
    assert "Installed Hydra Plugins" in ended.stdout


@pytest.mark.parametrize("flag", ["--hydra-help", "--version"])
def test_the_file_itself_runs(flag, tmp_path):
    """The package's own types and statistics do not hide the standard library's."""
    file = Path(recmeta.__file__).with_name("__main__.py")
    ended = subprocess.run([sys.executable, str(file), flag], capture_output=True, text=True, cwd=tmp_path)
    assert ended.returncode == 0, ended.stderr
    assert ("Hydra" if flag == "--hydra-help" else "recmeta ") in ended.stdout


def test_own_components_are_found_where_one_works(monkeypatch, tmp_path):
    """As `python -m recmeta` finds them; last, so that no file there hides a library."""
    (tmp_path / "mine_here.py").write_text("value = 1\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [path for path in sys.path if path])
    cli.find_own_components()
    cli.find_own_components()
    assert importlib.util.find_spec("mine_here") is not None
    assert sys.path[-1] == str(tmp_path)
    assert sys.path.count(str(tmp_path)) == 1


def test_an_unknown_key_is_refused_with_a_plus_too(small, monkeypatch, capfd, tmp_path):
    assert call(monkeypatch, *small, f"output={tmp_path}", "+foo=1") == 2
    assert capfd.readouterr().err.startswith("recmeta: foo: no such key; the config has dataset, ")
    assert not list(tmp_path.iterdir())


def test_a_defect_shows_where_it_is(small):
    broken = (
        "import recmeta.experiment.run as e; e.run = lambda *a, **k: [][0]; from recmeta.__main__ import main; main()"
    )
    ended = subprocess.run([sys.executable, "-c", broken, *small], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "Traceback" in ended.stderr
    assert ended.stderr.rstrip().endswith("IndexError: list index out of range")


def test_a_sweep_goes_on_after_a_point_that_fails(small, monkeypatch, capfd, tmp_path):
    typed = ["-m", *small, f"output={tmp_path}", "learner=none", "objective=bce,mse"]
    assert call(monkeypatch, *typed) == 2
    said = capfd.readouterr().err
    (failure,), (summary,) = tmp_path.rglob("failure.json"), tmp_path.rglob("summary.json")
    assert failure.parent != summary.parent
    recorded = json.loads(failure.read_text())
    assert recorded["type"] == "UserError"
    assert "objective=bce" in recorded["overrides"]
    assert recorded["error"] in said


def test_a_sweep_goes_on_after_a_defect_which_decides_the_exit_code(small, monkeypatch, capfd, tmp_path):
    run = experiment.run

    def broken(config, overrides, **how):
        if config["protocol"]["seed"] == 0:
            raise RuntimeError("RESOURCE_EXHAUSTED:\nout of memory")
        return run(config, overrides, **how)

    monkeypatch.setattr(experiment, "run", broken)
    typed = [*small, f"output={tmp_path}", "learner=none", "-m", "protocol.seed=0,1", "objective=mse,bce"]
    assert call(monkeypatch, *typed) == 1
    said = capfd.readouterr().err
    assert "Traceback" in said
    assert "protocol.seed=0 objective=mse: RESOURCE_EXHAUSTED: out of memory\n" in said
    assert said.endswith("recmeta: 3 of the sweep's runs failed\n")
    failures = [json.loads(path.read_text()) for path in tmp_path.rglob("failure.json")]
    assert sorted(failure["type"] for failure in failures) == ["RuntimeError", "RuntimeError", "UserError"]
    assert len(list(tmp_path.rglob("summary.json"))) == 1


@pytest.mark.slow
def test_points_in_other_processes_fail_as_in_this_one(small, tmp_path):
    """Hydra's joblib launcher: what diverged there decides the exit code here, and that of the next line does not."""
    command = [sys.executable, "-m", "recmeta", "-m", "hydra/launcher=joblib", "hydra.launcher.n_jobs=2", *small]
    command += [f"output={tmp_path}"]
    ended = subprocess.run([*command, "optimizer.learning_rate=0.001,1e30"], capture_output=True, text=True)
    assert ended.returncode == 1
    assert "optimizer.learning_rate=1e+30: training diverged" in ended.stderr.splitlines()[-1]
    assert len(list(tmp_path.rglob("summary.json"))) == len(list(tmp_path.rglob("failure.json"))) == 1
    elsewhere = subprocess.run([*command, "name=a,b", "optimizer.learning_rate=1e30"], capture_output=True)
    assert elsewhere.returncode == 1
    assert subprocess.run([*command, "optimizer.learning_rate=0.001,0.002"], capture_output=True).returncode == 0


def test_an_interrupt_ends_a_sweep(small, monkeypatch, capfd, tmp_path):
    calls = []

    def interrupted(*_, **__):
        calls.append(1)
        raise KeyboardInterrupt

    monkeypatch.setattr(experiment, "run", interrupted)
    assert call(monkeypatch, *small, f"output={tmp_path}", "protocol.seed=0,1", "-m") == 130
    assert capfd.readouterr().err == "recmeta: interrupted; the same command resumes\n"
    assert calls == [1]


def test_a_reporter_that_is_null_is_off(small, monkeypatch, capfd, tmp_path):
    typed = [*small, f"output={tmp_path}", "learner=none", "reporter=default", "reporter.wandb=null"]
    assert call(monkeypatch, *typed, "reporter.console=null") == 0
    assert capfd.readouterr().out == ""
    assert len(list(tmp_path.rglob("summary.json"))) == 1


def test_a_sweep_refused_for_an_unknown_choice_runs_nothing(small, monkeypatch, capfd, tmp_path):
    assert call(monkeypatch, "-m", *small, f"output={tmp_path}", "learner=none,mamll") == 2
    assert capfd.readouterr().err.startswith("recmeta: learner=mamll: no such choice; there are ")
    assert not list(tmp_path.rglob("summary.json"))


@pytest.mark.slow
def test_a_sweep(small, monkeypatch, tmp_path):
    assert call(monkeypatch, "-m", *small, f"output={tmp_path}", "learner=ridge,joint") == 0
    assert len(list(tmp_path.rglob("summary.json"))) == 2


def values(lines: str):
    return [{k: v for k, v in json.loads(line).items() if k != "tasks_per_s"} for line in lines.splitlines()]


@pytest.mark.slow
def test_killed_and_resumed_is_as_if_never_killed(small, monkeypatch, kill_at, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    typed = [*small, "steps=6"]
    assert call(monkeypatch, *typed, f"output={whole}") == 0
    kill_at(4, killed, [*typed, f"output={killed}"])
    assert not list(killed.rglob("summary.json"))
    assert call(monkeypatch, *typed, f"output={killed}") == 0
    (one,), (other,) = whole.rglob("summary.json"), killed.rglob("summary.json")
    assert one.parent.name == other.parent.name
    name = "task_scores.parquet"
    assert pl.read_parquet(one.parent / name).equals(pl.read_parquet(other.parent / name), null_equal=True)
    name = "metrics.jsonl"
    assert values((one.parent / name).read_text()) == values((other.parent / name).read_text())
