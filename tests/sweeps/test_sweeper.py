"""`hydra/sweeper=optuna`, from what is typed to what is found."""

import json
import sys

import pytest

from recmeta.__main__ import main
from recmeta.sweeps.search import RECORD
from recmeta.sweeps.sweeper import checked
from recmeta.types import UserError

SEARCH = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.trials=4", "hydra.sweeper.batch=4")
SPACE = ("learner=maml", "learner.inner_rate=tag(log,interval(0.001,1))")


def call(monkeypatch, *typed: str) -> int:
    """The exit code of a command, in this process."""
    monkeypatch.setattr(sys, "argv", ["recmeta", *typed])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0


@pytest.mark.parametrize("launcher", ["fused", pytest.param("basic", marks=pytest.mark.slow)])
def test_a_search_from_start_to_end(small, monkeypatch, capfd, tmp_path, launcher):
    typed = [*SEARCH, f"hydra/launcher={launcher}", *small, *SPACE, f"output={tmp_path}", "name=found"]
    assert call(monkeypatch, *typed) == 0
    record = json.loads((tmp_path / "found" / RECORD).read_text())
    assert record["counts"]["done"] == 4
    assert record["trials"][0]["params"] == {"learner.inner_rate": 0.1}, "the default"
    for trial in record["trials"]:
        summary = json.loads((tmp_path / "found" / trial["run"] / "summary.json").read_text())
        assert trial["value"] == summary["validation"]["value"]
        assert trial["seconds"] == summary["speed"]["wall_s"]
    assert record["best"]["value"] == min(trial["value"] for trial in record["trials"])
    assert "best by meta-validation: trial" in capfd.readouterr().out
    before = (tmp_path / "found" / record["trials"][0]["run"] / "summary.json").stat().st_mtime_ns
    assert call(monkeypatch, *typed) == 0
    assert (tmp_path / "found" / record["trials"][0]["run"] / "summary.json").stat().st_mtime_ns == before


def test_a_trial_that_diverges_is_recorded_and_the_exit_code_is_1(small, monkeypatch, tmp_path):
    typed = [*SEARCH, "hydra/launcher=fused", "hydra.sweeper.sampler=grid", *small, "optimizer=sgd"]
    assert call(monkeypatch, *typed, "optimizer.learning_rate=0.1,1e30", f"output={tmp_path}", "name=found") == 1
    record = json.loads((tmp_path / "found" / RECORD).read_text())
    assert record["counts"] == {"done": 1, "failed": 1, "unfinished": 0}
    (reason,) = [trial["reason"] for trial in record["trials"] if trial["state"] == "failed"]
    assert reason.startswith("training diverged")


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["learner.inner_rat=interval(0,1)"], "no such key"),
        (["optimizer=adam,best"], "no such choice"),
        (["learner.inner_rate=0.1"], "nothing is searched"),
        (["learner.inner_rate=interval(0,1)", "hydra.sweeper.sampler=best"], "there are tpe, cmaes, random, grid"),
        (["learner.inner_rate=interval(0,1)", "hydra.sweeper.trials=0"], "must be a whole number from 1 on"),
    ],
)
def test_what_is_typed_wrong_is_refused_before_anything_is_written(small, monkeypatch, capfd, tmp_path, typed, said):
    output = tmp_path / "out"
    assert call(monkeypatch, "-m", "hydra/sweeper=optuna", *small, "learner=maml", *typed, f"output={output}") == 2
    assert said in capfd.readouterr().err
    assert not output.exists()


def test_settings_are_checked():
    known = {"sampler": "tpe", "trials": 1, "batch": 1, "seed": 0}
    assert checked(known)._asdict() == known
    for key, wrong in (("batch", True), ("seed", -1), ("trials", 1.5)):
        with pytest.raises(UserError, match=rf"hydra\.sweeper\.{key}="):
            checked(known | {key: wrong})
