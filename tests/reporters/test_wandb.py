"""Weights & Biases: one finished offline run per run, nothing where it is disabled, closed when the run fails."""

import json
import os
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace

import pytest

from recmeta.reporters import server
from recmeta.reporters.server import logged_in, within
from recmeta.reporters.several import compose
from recmeta.reporters.wandb import ARTIFACTS, display_name, flattened, wandb
from recmeta.runs.layout import CHECKPOINTS
from recmeta.runs.record import record
from recmeta.types import UserError


def records(path: Path):
    """The records of a ``.wandb`` file, in LevelDB's log format: blocks of 32 KiB, chunks with 7 bytes before them."""
    from wandb.proto.wandb_internal_pb2 import Record

    content, at, parts = path.read_bytes(), 7, b""  # a header of the file's own
    while at < len(content):
        if (left := -at % 32768) and left < 7:
            at += left
            continue
        length, kind = int.from_bytes(content[at + 4 : at + 6], "little"), content[at + 6]
        parts += content[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last of several
            record = Record()
            record.ParseFromString(parts)
            yield record
            parts = b""


def recorded(path: Path, seconds: float = 20) -> list:
    """The records of a ``.wandb`` file, once there is history: W&B's own process writes it, maybe a little later."""
    deadline = time.monotonic() + seconds
    while True:
        found = list(records(path))
        history = [record for record in found if record.history.item]
        if history or time.monotonic() > deadline:
            return found
        time.sleep(0.05)


def told(items):
    """What items of a record say, with values as they were."""
    return {item.key or "/".join(item.nested_key): json.loads(item.value_json) for item in items}


def offline_runs(directory: Path) -> list[Path]:
    return sorted(directory.glob("wandb/offline-run-*/run-*.wandb"))


@pytest.fixture
def opened(monkeypatch):
    """Real W&B runs that were opened, with what they were opened with and the code they finished with."""
    import wandb as client

    seen, init = [], client.init

    def spied(**options):
        run = init(**options)
        finish = run.finish
        entry = {"run": run, "options": options, "exit_code": None}

        def finished(exit_code=None):
            entry["exit_code"] = exit_code
            finish(exit_code=exit_code)

        monkeypatch.setattr(run, "finish", finished)
        seen.append(entry)
        return run

    monkeypatch.setattr(client, "init", spied)
    return seen


def test_an_offline_run_is_written_and_finished_once_per_run(
    make_run, summary, task_scores, opened, monkeypatch, capfd
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    reporter = wandb(project="p", tags=["quick"])
    for multirun in (False, True):
        run = make_run(multirun=multirun)
        reporter.start(run)
        reporter.log(10, "validation", {"mae": [0.5, 0.25], "ndcg@5": [0.1, 0.2]})
        reporter.log(10, "train", {"loss": [1.0, 2.0]})
        reporter.finish(summary, task_scores, {})
        reporter.close(None)
    assert capfd.readouterr().out == ""
    assert [entry["exit_code"] for entry in opened] == [0, 0]
    for entry, job_type in zip(opened, ("train", "sweep"), strict=True):
        live = entry["run"]
        assert (live.group, live.job_type, live.project) == ("study", job_type, "p")
        assert live.tags == ("quick", "learner=maml")
        assert live.name == "maml seeds=[0,7] c0ffee12"
        assert live.config["hashes"]["config"] == "c0ffee1234"
        assert live.config["learner"] == {
            "_target_": "recmeta.learners.maml",
            "inner_rate": 0.01,
            "clip": None,
            "x": None,
        }
    stored = offline_runs(make_run().directory)
    assert len(stored) == 2
    content = stored[0].read_bytes()
    for name in ("validation/mae", "validation/mae/seed0", "validation/mae/seed7", "train/loss", "score_table"):
        assert f'"{name}"'.encode() in content or name.encode() in content
    assert b"scores/user_cold/model/mae/mean" in content
    assert b"verdict/user_cold/text" in content


def test_metrics_have_their_goals_and_the_outer_step_as_axis(make_run, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    import wandb as client

    defined, rows = [], []
    monkeypatch.setattr(client.Run, "define_metric", lambda self, name, **how: defined.append((name, how)))
    monkeypatch.setattr(client.Run, "log", lambda self, row: rows.append(row))
    reporter = wandb()
    reporter.start(make_run())
    for step in (10, 20):
        reporter.log(step, "validation", {"mae": [0.5, 0.25], "ndcg@5": [0.1, 0.2]})
        reporter.log(step, "train", {"loss": [1.0, 2.0]})
    reporter.close(None)
    goals = {name: how["summary"] for name, how in defined if how.get("step_metric") == "step"}
    assert len(defined) == len(goals) + 1 == 10, "each once"
    assert goals["validation/mae"] == goals["validation/mae/seed7"] == "min"
    assert goals["validation/ndcg@5"] == "max"
    assert goals["train/loss"] is None
    assert rows[0] == {
        "step": 10,
        "validation/mae": 0.375,
        "validation/mae/seed0": 0.5,
        "validation/mae/seed7": 0.25,
        "validation/ndcg@5": pytest.approx(0.15),
        "validation/ndcg@5/seed0": 0.1,
        "validation/ndcg@5/seed7": 0.2,
    }


def test_a_resumed_run_carries_what_was_logged_before(make_run, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    import wandb as client

    rows = []
    monkeypatch.setattr(client.Run, "log", lambda self, row: rows.append(row))
    run = make_run(step=20)
    (run.directory / "metrics.jsonl").write_text(
        '{"step": 10, "split": "train", "loss": [1.0, null]}\n{"step": 30, "split": "train", "loss": [5.0, 5.0]}\n'
    )
    reporter = wandb()
    reporter.start(run)
    reporter.log(30, "train", {"loss": [0.5, 0.5]})
    reporter.close(None)
    assert [row["step"] for row in rows] == [10, 30]
    assert rows[0]["train/loss/seed0"] == 1.0
    assert rows[1]["train/loss"] == 0.5


def test_a_failed_run_is_closed_as_failed(make_run, opened, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    reporter = wandb()
    reporter.start(make_run())
    reporter.close(ValueError("the loss is not finite"))
    reporter.close(ValueError("again"))
    assert [entry["exit_code"] for entry in opened] == [1]
    assert len(offline_runs(make_run().directory)) == 1


def test_what_is_recorded_offline_is_what_the_files_say(make_run, summary, task_scores, monkeypatch):
    monkeypatch.setenv("WANDB_MODE", "offline")
    run = make_run()
    reporter = compose(record(), wandb(artifacts=["task_scores", "checkpoint"]))
    assert ARTIFACTS["checkpoint"] == CHECKPOINTS
    (run.directory / CHECKPOINTS).mkdir()
    (run.directory / CHECKPOINTS / "leaf").write_text("0")
    reporter.start(run)
    for step in (10, 20):
        reporter.log(step, "validation", {"mae": [0.5, 0.25], "ndcg@5": [0.1, 0.2]})
    reporter.finish(summary, task_scores, run.provenance)
    reporter.close(None)
    (path,) = offline_runs(run.directory)
    found = recorded(path)
    history = [row for record in found if "step" in (row := told(record.history.item))]
    written = [json.loads(line) for line in (run.directory / "metrics.jsonl").read_text().splitlines()]
    assert [(row["step"], row["validation/mae/seed0"], row["validation/mae/seed7"]) for row in history] == [
        (line["step"], *line["mae"]) for line in written
    ]
    known = {key: value for record in found for key, value in told(record.summary.update).items()}
    read = json.loads((run.directory / "summary.json").read_text())
    assert known["scores/user_cold/model/mae/mean"] == read["scores"]["user_cold"]["model"]["mae"]["mean"]
    assert known["metric/value"] == read["metric"]["value"]
    config = told(item for record in found for item in record.run.config.update)
    assert config["provenance"]["versions"] == {"jax": "0"}
    artifacts = {record.request.log_artifact.artifact.type for record in found} | {
        record.artifact.type for record in found
    }
    assert {"task_scores", "checkpoint"} <= artifacts
    assert [image.name for image in path.parent.rglob("media/images/adaptation/*.png")]


def test_disabled_is_obeyed_and_not_even_imported(tmp_path):
    """As a setting, whatever the environment says; and by the environment."""
    program = """
import os, sys
from pathlib import Path
from recmeta.reporters.wandb import wandb
from recmeta.types import Run
for mode, environment in (("disabled", "online"), (None, "disabled")):
    os.environ["WANDB_MODE"] = environment
    reporter = wandb(mode=mode)
    reporter.start(Run("n", Path(sys.argv[1]), {}, [], {"config": "c"}, [0], 1, 0, {}))
    reporter.log(1, "train", {"loss": [1.0]})
    reporter.finish({"scores": {}}, None, {})
    reporter.close(None)
    assert "wandb" not in sys.modules
"""
    subprocess.run([sys.executable, "-c", program, str(tmp_path)], check=True)
    assert list(tmp_path.iterdir()) == []


def test_an_unknown_mode_is_one_line(make_run):
    with pytest.raises(UserError, match="one of online, offline, disabled, not 'on'"):
        wandb(mode="on").start(make_run())


@pytest.fixture
def answers(monkeypatch):
    """The server answers a first question, or the reason why it does not."""
    return lambda why="": monkeypatch.setattr(server, "unreachable", lambda url: why)


def test_an_unusable_key_is_one_line(make_run, monkeypatch, answers):
    answers()
    monkeypatch.setenv("WANDB_API_KEY", "short")
    with pytest.raises(UserError, match=r"^Weights & Biases cannot be used [^\n]+WANDB_MODE=offline[^\n]+$"):
        wandb(mode="online").start(make_run())


@pytest.mark.parametrize(("value", "fails"), [("", False), ("maybe", True)])
def test_what_the_environment_sets_wrong_is_one_line(monkeypatch, answers, value, fails):
    import wandb as client

    def setup():
        return SimpleNamespace(settings=client.Settings.model_validate({"silent": os.environ["WANDB_SILENT"]}))

    answers()
    monkeypatch.setattr(client, "setup", setup)
    monkeypatch.setenv("WANDB_SILENT", value or "true")
    monkeypatch.setenv("WANDB_MODE", "")
    monkeypatch.setenv("WANDB_API_KEY", "0" * 40)
    if fails:
        with pytest.raises(UserError, match=r"^Weights & Biases cannot be used \(silent Input [^\n]+WANDB_[^\n]+$"):
            server.choose_mode(None)
    else:
        assert server.choose_mode("online") == "online"
    assert "WANDB_MODE" not in os.environ  # to the client, an empty one is a mode that it does not know


def test_a_server_that_does_not_answer_is_refused_where_the_config_asks_for_it(monkeypatch, answers):
    answers("no answer from https://api.wandb.ai within 10 s")
    with pytest.raises(UserError, match=r"^Weights & Biases cannot be used \(no answer from [^\n]+ within 10 s\)"):
        wandb(mode="online").check()


def test_a_server_that_does_not_answer_is_done_without_elsewhere(make_run, opened, monkeypatch, answers, capfd):
    answers("no answer from https://api.wandb.ai within 10 s")
    monkeypatch.setenv("WANDB_MODE", "online")
    reporter = wandb()
    reporter.check()
    reporter.start(make_run())
    reporter.close(None)
    assert [entry["options"]["mode"] for entry in opened] == ["offline"]
    said = capfd.readouterr()
    assert said.out == ""
    assert said.err.count("\n") == 1
    assert "within 10 s): this run is recorded offline" in said.err


@pytest.mark.parametrize("raised", [StopIteration(), TimeoutError("Run initialization has timed out after 10.0 sec")])
def test_whatever_the_client_raises_ends_offline(make_run, monkeypatch, answers, capfd, raised):
    import wandb as client

    answers()
    monkeypatch.setenv("WANDB_MODE", "online")
    modes = []

    def init(**options):
        modes.append(options["mode"])
        if options["mode"] == "online":
            raise raised
        return SimpleNamespace(define_metric=lambda *_, **__: None)

    monkeypatch.setattr(client, "init", init)
    wandb().start(make_run())
    assert modes == ["online", "offline"]
    assert "recorded offline" in capfd.readouterr().err
    with pytest.raises(UserError, match=r"^Weights & Biases cannot be used \([^\n]+\): set reporter"):
        wandb(mode="online").start(make_run())


def test_the_server_is_waited_for_no_longer_than_said():
    began = time.monotonic()
    assert within(0.05, lambda: time.sleep(1)) is None
    assert time.monotonic() - began < 0.5
    assert within(1, lambda: 3) == 3
    assert isinstance(within(1, lambda: 1 / 0), ZeroDivisionError)


def test_names_tell_runs_apart(make_run):
    run = make_run()
    names = {
        display_name(replace(run, overrides=overrides, hashes={"config": digest}))
        for digest, overrides in (
            ("aaaaaaaa1", ["learner=maml", "name=x"]),
            ("bbbbbbbb1", ["learner=maml", "learner.inner_rate=0.1", "force=true"]),
            ("cccccccc1", ["learner=maml", *(f"learner.setting_{i}={i}" for i in range(40))]),
        )
    }
    assert {"maml aaaaaaaa", "maml learner.inner_rate=0.1 bbbbbbbb"} < names
    assert max(map(len, names)) <= 128


def test_offline_unless_a_key_is_found(make_run, opened, monkeypatch, tmp_path):
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    monkeypatch.setenv("NETRC", str(tmp_path / "none"))
    reporter = wandb()
    reporter.start(make_run())
    reporter.close(None)
    assert [entry["options"]["mode"] for entry in opened] == ["offline"]


def test_a_key_in_netrc_is_found_without_asking(monkeypatch, tmp_path):
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    assert not logged_in("https://wandb.example.org")
    (tmp_path / "netrc").write_text("machine wandb.example.org login user password secret\n")
    assert logged_in("https://wandb.example.org")
    assert not logged_in("https://other.example.org")
    (tmp_path / "netrc").write_text("machine\n")
    with pytest.raises(UserError, match="cannot be read"):
        logged_in("https://wandb.example.org")


def test_flattened_leaves():
    nested = {"a": {"ci95": None, "b": True, "c": None, "list": [1]}, "text": "t"}
    assert dict(flattened(nested)) == {"a/b": True, "text": "t"}


@pytest.mark.slow
def test_a_fused_sweep_is_a_group_and_each_of_its_points_a_run(small, tmp_path):
    """Points of one program, live beside each other: each W&B run holds what its own directory does."""
    typed = ["reporter=default" if each.startswith("reporter") else each for each in small]
    line = ["-m", "hydra/launcher=fused", *typed, f"output={tmp_path}", "name=sweep", "learner.weight_scale=0.1,0.3"]
    env = os.environ | {"WANDB_MODE": "offline"}
    subprocess.run([sys.executable, "-m", "recmeta", *line, "seeds=[0],[1]"], check=True, env=env)
    points = set()
    for path in tmp_path.rglob("summary.json"):
        (record_of_run,) = offline_runs(path.parent)
        found = list(records(record_of_run))
        (run,) = (record.run for record in found if record.HasField("run"))
        assert (run.run_group, run.job_type) == ("sweep", "sweep")
        config, read = told(run.config.update), json.loads(path.read_text())
        (seed,) = config["seeds"]
        points.add((config["learner"]["weight_scale"], seed))
        name = f"validation/mae/seed{seed}"
        history = [row for record in found if name in (row := told(record.history.item))]
        written = [json.loads(line) for line in (path.parent / "metrics.jsonl").read_text().splitlines()]
        validated = [line for line in written if line["split"] == "validation"]
        assert [(row["step"], row[name]) for row in history] == [(line["step"], *line["mae"]) for line in validated]
        known = {key: value for record in found for key, value in told(record.summary.update).items()}
        assert known["metric/value"] == read["metric"]["value"]
    assert points == {(scale, seed) for scale in (0.1, 0.3) for seed in (0, 1)}
