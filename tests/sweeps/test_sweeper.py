"""`hydra/sweeper=optuna`, from what is typed to what is found."""

import json

import pytest
from hydra.core.utils import JobReturn, JobStatus
from omegaconf import DictConfig

from recmeta.results import status
from recmeta.runs import layout
from recmeta.sweeps.fused import Composed
from recmeta.sweeps.sweeper import check_alike, checked, trial_result
from recmeta.types import Diverged, UserError
from tests.command import call

SEARCH = ("-m", "hydra/sweeper=optuna", "hydra.sweeper.trials=4", "hydra.sweeper.batch=4")
SPACE = ("learner=maml", "learner.inner_rate=tag(log,interval(0.001,1))")


@pytest.mark.parametrize("launcher", ["fused", pytest.param("basic", marks=pytest.mark.slow)])
def test_a_search_from_start_to_end(small, monkeypatch, capfd, tmp_path, launcher):
    typed = [*SEARCH, f"hydra/launcher={launcher}", *small, *SPACE, f"output={tmp_path}", "name=found"]
    assert call(monkeypatch, *typed) == 0
    record = json.loads((tmp_path / "found" / layout.SEARCH).read_text())
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


PRUNED = (
    "hydra/launcher=fused", "hydra.sweeper.pruner=halving", "hydra.sweeper.sampler=grid", "hydra.sweeper.trials=6",
    "hydra.sweeper.batch=6", "optimizer=sgd", "optimizer.learning_rate=0.0001,0.001,0.01,0.1,0.2,0.4", "steps=8",
)  # fmt: skip


@pytest.mark.slow
def test_what_is_worse_is_given_up_early_and_that_is_no_failure(small, monkeypatch, capfd, tmp_path):
    typed = [*SEARCH, *small, *PRUNED, f"output={tmp_path}", "name=found"]
    assert call(monkeypatch, *typed) == 0
    record = json.loads((tmp_path / "found" / layout.SEARCH).read_text())
    assert record["counts"] == {"done": 2, "pruned": 4, "failed": 0, "unfinished": 0}
    said = capfd.readouterr()
    assert "2 done, 4 pruned trials" in " ".join(said.out.split())
    assert "failed" not in said.err
    for trial in record["trials"]:
        directory = tmp_path / "found" / trial["run"]
        assert (directory / "summary.json").exists() == (trial["state"] == "done")
        log = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
        best = min(line["mae"][0] for line in log if line["split"] == "validation")
        assert trial["value"] == pytest.approx(best)
        assert log[-1]["step"] == (trial["pruned_at"] or 8)
        assert trial["seconds"] > 0
    pruned = [run for run in status.statuses(tmp_path / "found") if run.state == "pruned"]
    assert len(pruned) == 4
    assert all(run.detail.startswith("given up at step") for run in pruned)
    assert call(monkeypatch, *typed) == 0
    assert json.loads((tmp_path / "found" / layout.SEARCH).read_text()) == record


@pytest.mark.slow
def test_a_pruned_search_that_is_killed_goes_on_the_same(small, monkeypatch, kill_at, tmp_path):
    typed = [*SEARCH, *small, *PRUNED, "name=main"]
    assert call(monkeypatch, *typed, f"output={tmp_path / 'whole'}") == 0
    for step in (4, 6):
        kill_at(step, tmp_path / "parts", [*typed, f"output={tmp_path / 'parts'}"])
    assert call(monkeypatch, *typed, f"output={tmp_path / 'parts'}") == 0
    whole, parts = (json.loads((tmp_path / name / "main" / layout.SEARCH).read_text()) for name in ("whole", "parts"))
    for one, other in zip(whole["trials"], parts["trials"], strict=True):
        for key in ("number", "state", "params", "value", "pruned_at", "run"):
            assert one[key] == other[key]


def test_a_trial_that_diverges_is_recorded_and_the_exit_code_is_1(small, monkeypatch, tmp_path):
    typed = [*SEARCH, "hydra/launcher=fused", "hydra.sweeper.sampler=grid", *small, "optimizer=sgd"]
    assert call(monkeypatch, *typed, "optimizer.learning_rate=0.1,1e30", f"output={tmp_path}", "name=found") == 1
    record = json.loads((tmp_path / "found" / layout.SEARCH).read_text())
    assert record["counts"] == {"done": 1, "pruned": 0, "failed": 1, "unfinished": 0}
    (failed,) = [trial for trial in record["trials"] if trial["state"] == "failed"]
    assert failed["reason"].startswith("training diverged")
    assert 0 < failed["seconds"] < record["seconds"]
    # The same line again runs nothing, and says the same.
    assert call(monkeypatch, *typed, "optimizer.learning_rate=0.1,1e30", f"output={tmp_path}", "name=found") == 1
    assert json.loads((tmp_path / "found" / layout.SEARCH).read_text()) == record


@pytest.mark.slow
def test_a_trial_that_does_not_compose_fails_alone(small, monkeypatch, capfd, tmp_path):
    typed = [*SEARCH, "hydra/launcher=fused", "hydra.sweeper.sampler=grid", *small]
    typed += ["learner=ridge,maml", "learner.level_scale=0.5,1.0", f"output={tmp_path}", "name=found"]
    assert call(monkeypatch, *typed) == 2
    record = json.loads((tmp_path / "found" / layout.SEARCH).read_text())
    assert record["counts"] == {"done": 2, "pruned": 0, "failed": 2, "unfinished": 0}
    for trial in record["trials"]:
        assert (trial["params"]["learner"], trial["state"]) in (("ridge", "done"), ("maml", "failed"))
        assert trial["state"] == "done" or "no such key; learner has" in trial["reason"]
    assert "2 of the sweep's runs failed" in capfd.readouterr().err


@pytest.mark.slow
def test_what_was_tried_and_refused_can_be_said(small, monkeypatch, tmp_path):
    typed = [*SEARCH, "hydra/launcher=fused", "hydra.sweeper.sampler=grid", *small]
    assert call(monkeypatch, *typed, "learner.level_scale=0.5,-1", f"output={tmp_path}", "name=found") == 2
    (failed,) = [run for run in status.statuses(tmp_path / "found") if run.state == "failed"]
    assert "learner.level_scale=-1" in failed.overrides
    assert failed.directory is not None
    assert (failed.directory / "config.yaml").exists()


@pytest.mark.parametrize(
    ("ended", "value", "reason", "code"),
    [
        (JobStatus.FAILED, UserError("too\nbad"), "too bad", 2),
        (JobStatus.FAILED, Diverged("no numbers"), "no numbers", 1),
        (JobStatus.FAILED, RuntimeError("broken"), "broken", 1),
        (JobStatus.UNKNOWN, None, "the launcher did not report how it ended", 1),
        (JobStatus.COMPLETED, None, "it gave no value on meta-validation", 1),
    ],
)
def test_however_a_job_ends_its_trial_is_told(tmp_path, ended, value, reason, code):
    composed = Composed({"name": "a", "output": str(tmp_path), "learner": {}}, DictConfig({}), [])
    said = trial_result(composed, JobReturn(status=ended, _return_value=value))
    assert (said.value, said.reason, said.code) == (None, reason, code)


def test_presets_that_change_what_is_compared_are_refused():
    one = {"seeds": [0], "metric": "mae", "dataset": {}, "cleaning": None, "name": "a", "output": "b"}
    trained = [one | {"protocol": {"episodes": {"query": 5, "train_shots": shots}}} for shots in (None, [5])]
    check_alike(trained)
    for key, value in (
        ("protocol", {"episodes": {"query": 6, "train_shots": None}}),
        ("dataset", {"users": 3}),
        ("name", "other"),
    ):
        with pytest.raises(UserError, match=f"what is searched changes {key}"):
            check_alike([*trained, trained[0] | {key: value}])


@pytest.mark.slow
def test_an_edited_config_is_another_search(small, monkeypatch, capfd, tmp_path):
    typed = [*SEARCH, "hydra.sweeper.trials=1", *small, *SPACE, f"output={tmp_path}", "name=found"]
    assert call(monkeypatch, *typed, "hydra/launcher=fused") == 0
    # Order, launcher and reporter make no other; what is composed does.
    assert call(monkeypatch, "reporter=default", *typed) == 0
    assert call(monkeypatch, *typed, "batch=5") == 2
    assert "holds a search with another config" in capfd.readouterr().err


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["learner.inner_rat=interval(0,1)"], "no such key"),
        (["optimizer=adam,best"], "no such choice"),
        (["learner.inner_rate=0.1"], "nothing is searched"),
        (["learner.inner_rate=interval(0,1)", "hydra.sweeper.sampler=best"], "there are tpe, cmaes, random, grid"),
        (["learner.inner_rate=interval(0,1)", "hydra.sweeper.pruner=best"], "there are none, median, halving"),
        (["learner.inner_rate=interval(0,1)", "hydra.sweeper.pruner=median"], "needs hydra/launcher=fused"),
        (["learner.inner_rate=interval(0,1)", "hydra.sweeper.trials=0"], "must be a whole number from 1 on"),
        (["learner.inner_rate=interval(0.1,1)", "batch=-4"], "batch=-4: "),
        (["learner.inner_rate=interval(0.1,1)", "+learner.foo=1"], "foo"),
        (["learner.inner_rate=interval(-2,-1)"], "learner.inner_rate=-"),
    ],
)
def test_what_is_typed_wrong_is_refused_before_anything_is_written(small, monkeypatch, capfd, tmp_path, typed, said):
    output = tmp_path / "out"
    assert call(monkeypatch, "-m", "hydra/sweeper=optuna", *small, "learner=maml", *typed, f"output={output}") == 2
    error = capfd.readouterr().err
    assert said in error
    assert len(error.splitlines()) == 1
    assert not output.exists()


def test_settings_are_checked():
    known = {"sampler": "tpe", "trials": 1, "batch": 1, "seed": 0, "pruner": "none", "storage": None}
    assert checked(known)._asdict() == known
    for key, wrong in (("batch", True), ("seed", -1), ("trials", 1.5), ("storage", "search.db")):
        with pytest.raises(UserError, match=rf"hydra\.sweeper\.{key}="):
            checked(known | {key: wrong})
