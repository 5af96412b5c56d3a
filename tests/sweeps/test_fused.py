"""The fused launcher: points equal their lone runs, structures are compiled once, what fails or is interrupted."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import yaml
from hydra._internal.config_loader_impl import ConfigLoaderImpl

from recmeta.experiment import loop
from recmeta.experiment import run as experiment
from recmeta.runs import directory as run_directory
from recmeta.runs import provenance
from recmeta.sweeps import fused, groups
from recmeta.types import UserError
from tests.command import call

SLOW = pytest.mark.slow
FUSED = ("-m", "hydra/launcher=fused")


def runs(folder: Path) -> dict[str, Path]:
    """Finished runs by the hash that names them."""
    return {path.parent.name: path.parent for path in folder.rglob("summary.json")}


def same_run(one: Path, other: Path) -> None:
    """All that two run directories say, but for what it cost and where it was typed."""
    said, wanted = (json.loads((path / "summary.json").read_text()) for path in (one, other))
    assert set(said) == set(wanted)
    for key in set(said) - {"speed"}:
        close(said[key], wanted[key])
    scores, expected = (pl.read_parquet(path / "task_scores.parquet") for path in (one, other))
    assert scores.drop("mae").equals(expected.drop("mae"), null_equal=True)
    np.testing.assert_allclose(scores["mae"], expected["mae"], rtol=2e-4, atol=1e-5)
    logs = [[json.loads(line) for line in (path / "metrics.jsonl").read_text().splitlines()] for path in (one, other)]
    close(*([{k: v for k, v in line.items() if k != "tasks_per_s"} for line in log] for log in logs))


def close(said, wanted) -> None:
    """Equal to float tolerance, at any depth."""
    if isinstance(wanted, dict):
        assert set(said) == set(wanted)
        for key in wanted:
            close(said[key], wanted[key])
    elif isinstance(wanted, list):
        assert len(said) == len(wanted)
        for a, b in zip(said, wanted, strict=True):
            close(a, b)
    elif isinstance(wanted, float):
        assert said == pytest.approx(wanted, rel=2e-3, abs=2e-4)
    elif not isinstance(wanted, str) or " " not in wanted:  # words say numbers, which may round otherwise
        assert said == wanted


@pytest.mark.parametrize(
    "varied",
    [
        ("learner=maml", "learner.inner_rate=0.01,0.1", "seeds=[0],[1,2]"),
        pytest.param(
            ("learner=maml", "learner.inner_rate=0.01,0.1", "optimizer.learning_rate=0.001,0.1"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("learner=ridge", "learner.level_scale=0.1,1.0", "optimizer=adamw", "optimizer.weight_decay=0.0,0.5"),
            marks=pytest.mark.slow,
        ),
        pytest.param(
            ("learner=reptile", "learner.inner_rate=0.01,0.1", "optimizer=sgd", "optimizer.learning_rate=0.1,0.2"),
            marks=pytest.mark.slow,
        ),
        # By Adam a gradient that is nothing but rounding is a whole step.
        pytest.param(
            ("learner=protonet", "optimizer=sgd", "optimizer.learning_rate=0.01,0.1", "seeds=[3],[4]"),
            marks=pytest.mark.slow,
        ),
    ],
)
def test_points_equal_their_lone_runs(small, monkeypatch, tmp_path, varied):
    together, alone = tmp_path / "together", tmp_path / "alone"
    assert call(monkeypatch, *FUSED, *small, *varied, f"output={together}") == 0
    assert not list(together.rglob(fused.FOLDER + "/*"))
    found = runs(together)
    assert len(found) == 2 ** sum("," in text.replace("[1,2]", "") for text in varied)
    for directory in found.values():
        config = yaml.safe_load((directory / "config.yaml").read_text()) | {"output": str(alone)}
        experiment.run(config, [])
    lone = runs(alone)
    assert set(lone) == set(found)
    for name, directory in found.items():
        same_run(directory, lone[name])
        assert json.loads((directory / "summary.json").read_text())["speed"]["points"] == len(found)


@pytest.mark.slow
def test_more_points_are_no_more_programs(small, monkeypatch, tmp_path):
    def compilations(number: int, rates: str) -> int:
        compiled = provenance.count_compilations()
        typed = (f"output={tmp_path}/{number}", f"optimizer.learning_rate={rates}")
        assert call(monkeypatch, *FUSED, *small, *typed) == 0
        return compiled().number

    compilations(0, "0.1,0.2,0.3,0.4")  # what is compiled once per process
    two, four = compilations(1, "0.5,0.6"), compilations(2, "0.6,0.7,0.8,0.9")
    assert four <= two


@pytest.mark.slow
def test_a_points_checkpoint_is_that_of_its_lone_run(small, monkeypatch, tmp_path):
    """Tested again by a lone run, which finds the training done, it says the same."""
    typed = [*small, "learner=maml", "learner.inner_rate=0.01,0.1", "seeds=[0,1]", f"output={tmp_path}"]
    assert call(monkeypatch, *FUSED, *typed) == 0
    trained = []
    monkeypatch.setattr(loop, "run_chunks", lambda progress, *args, **how: trained.append(progress) or iter(()))
    for directory in runs(tmp_path).values():
        tested = pl.read_parquet(directory / "task_scores.parquet")
        (directory / "summary.json").unlink()
        experiment.run(yaml.safe_load((directory / "config.yaml").read_text()), [])
        assert int(trained[-1].state.step[0]) == 4
        np.testing.assert_allclose(pl.read_parquet(directory / "task_scores.parquet")["mae"], tested["mae"], rtol=1e-4)


@pytest.mark.slow
def test_structures_are_grouped(small, monkeypatch, tmp_path):
    blocks = []
    together = fused.run_block

    def seen(points, *args):
        blocks.append([(p.config["learner"]["_target_"].rpartition(".")[2], p.config["batch"]) for p in points])
        return together(points, *args)

    monkeypatch.setattr(fused, "run_block", seen)
    loaded = []
    load = fused.prepare.load
    monkeypatch.setattr(fused.prepare, "load", lambda parts: loaded.append(1) or load(parts))
    typed = [*small, "learner=ridge,protonet", "batch=4,5", "optimizer.learning_rate=0.1,0.2", f"output={tmp_path}"]
    assert call(monkeypatch, *FUSED, *typed) == 0
    assert sorted(blocks) == [[(name, batch)] * 2 for name in ("protonet", "ridge") for batch in (4, 5)]
    assert loaded == [1], "one data set, one split"


@pytest.mark.slow  # how runs are dealt out to blocks is test_blocks
def test_blocks_hold_so_many_seeds(small, monkeypatch, tmp_path):
    sizes = []
    together = fused.run_block
    monkeypatch.setattr(fused, "run_block", lambda p, *args: sizes.append(len(p)) or together(p, *args))
    typed = [*small, "seeds=[0,1],[2,3],[4,5]", "hydra.launcher.replicas=4", f"output={tmp_path}"]
    assert call(monkeypatch, *FUSED, *typed) == 0
    assert sizes == [2, 1]
    assert len(runs(tmp_path)) == 3


@pytest.mark.slow
def test_what_does_not_fit_is_halved(small, monkeypatch, capfd, tmp_path):
    sizes = []

    def check(program, members):
        sizes.append(1)
        if len(sizes) == 1:
            raise MemoryError("no room")

    monkeypatch.setattr(loop, "check_memory", check)
    assert call(monkeypatch, *FUSED, *small, "seeds=[0],[1]", f"output={tmp_path}") == 0
    assert "2 runs do not fit into memory" in capfd.readouterr().err
    assert len(runs(tmp_path)) == 2
    assert not list(tmp_path.rglob("failure.json"))


def test_points_that_fail_are_recorded_and_the_others_go_on(small, monkeypatch, capfd, tmp_path):
    """One whose setting is refused, one that diverges, one whose reporter breaks."""
    make = experiment.record

    def files():
        reporter = make()

        def start(run):
            if run.seeds == [7]:
                raise RuntimeError("no such\nthing")
            reporter.start(run)

        return reporter._replace(start=start)

    monkeypatch.setattr(experiment, "record", files)
    typed = [*small, "learner=maml", "optimizer=sgd", "optimizer.learning_rate=0.1,-1,1e30", "seeds=[0],[7]"]
    assert call(monkeypatch, *FUSED, *typed, f"output={tmp_path}") == 1
    assert len(runs(tmp_path)) == 1
    failures = [json.loads(path.read_text()) for path in tmp_path.rglob("failure.json")]
    assert len(failures) == 5
    reasons = sorted(failure["error"].partition(":")[0] for failure in failures)
    assert reasons == ["no such thing"] * 2 + ["optimizer.learning_rate=-1"] * 2 + ["training diverged at seeds=[0]"]
    assert capfd.readouterr().err.endswith("5 of the sweep's runs failed\n")


@pytest.mark.parametrize("launcher", ["fused", pytest.param("basic", marks=SLOW)])
@pytest.mark.parametrize(
    ("error", "reason", "points"),
    [
        (RuntimeError("no such thing"), "no such thing", "eval_every=1,2"),
        pytest.param(MemoryError("no room"), "no room", "eval_every=1,2", marks=SLOW),
        pytest.param(None, "training diverged", "optimizer.learning_rate=0.1,1e30", marks=SLOW),
    ],
)
def test_a_failed_point_ends_a_sweep_with_1_after_all_others(
    small, monkeypatch, tmp_path, error, reason, points, launcher
):
    """One that raises, or is alone in its program and has no memory, or comes to no numbers."""
    make = loop.make_chunk

    def make_chunk(*args, steps, **more):
        if error and steps == 1:
            raise error
        return make(*args, steps=steps, **more)

    monkeypatch.setattr(loop, "make_chunk", make_chunk)
    typed = [*small, "optimizer=sgd", points, f"output={tmp_path}"]
    assert call(monkeypatch, "-m", f"hydra/launcher={launcher}", *typed) == 1
    assert len(runs(tmp_path)) == 1
    (failure,) = tmp_path.rglob("failure.json")
    assert json.loads(failure.read_text())["error"].startswith(reason)


def test_files_of_the_config_are_read_once(small, monkeypatch, tmp_path):
    """For points that choose the same: Hydra reads them for every point, and again to see that it is legal."""
    composed, load = [], ConfigLoaderImpl.load_sweep_config

    def count(self, master_config, sweep_overrides):
        composed.append(tuple(sweep_overrides))
        return load(self, master_config, sweep_overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", count)
    assert call(monkeypatch, *FUSED, *small, "learner=none", "protocol.seed=0,1,1", f"output={tmp_path}") == 0
    assert len(composed) == 1
    assert len(runs(tmp_path)) == 2


def test_what_is_done_is_not_done_again(small, monkeypatch, capfd, tmp_path):
    typed = [*small, f"output={tmp_path}"]
    assert call(monkeypatch, *FUSED, *typed, "seeds=[0],[1]") == 0
    before = {path: path.stat().st_mtime_ns for path in tmp_path.rglob("summary.json")}
    together, sizes = fused.run_block, []
    monkeypatch.setattr(fused, "run_block", lambda p, *args: sizes.append(len(p)) or together(p, *args))
    assert call(monkeypatch, *FUSED, *typed, "seeds=[0],[1],[2],[2]") == 0
    assert sizes == [1]
    assert len(runs(tmp_path)) == 3
    assert {path: path.stat().st_mtime_ns for path in before} == before
    assert "2 of 3 runs are done" in capfd.readouterr().err


@pytest.mark.slow
def test_what_another_process_runs_is_skipped(small, monkeypatch, capfd, tmp_path):
    typed = [*small, "learner=none", f"output={tmp_path}", "protocol.seed=0,1"]
    assert call(monkeypatch, *FUSED, *typed) == 0
    one, other = sorted(runs(tmp_path).values())
    summary, wanted = one / "summary.json", (one / "summary.json").read_text()
    summary.unlink()
    with run_directory.locked(one):
        assert call(monkeypatch, *FUSED, *typed) == 0
        assert f"skipped: {one} is in progress" in capfd.readouterr().err
        assert not summary.exists()
    assert call(monkeypatch, *FUSED, *typed) == 0
    close(json.loads(summary.read_text())["scores"], json.loads(wanted)["scores"])
    assert other.exists()


@pytest.mark.slow
def test_killed_and_resumed_is_as_if_never_killed(small, monkeypatch, kill_at, tmp_path):
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    typed = [*small, "steps=6", "learner=maml", "learner.inner_rate=0.01,0.1", "seeds=[0],[1]"]
    assert call(monkeypatch, *FUSED, *typed, f"output={whole}") == 0
    # The first chunk is saved when the second is logged.
    kill_at(4, killed, [*FUSED, *typed, f"output={killed}"])
    assert not runs(killed)
    assert list(killed.rglob(fused.RUNS))
    started, go_on = [], loop.run_chunks

    def seen(progress, *args, **how):
        started.append(int(progress.state.step[0]))
        return go_on(progress, *args, **how)

    monkeypatch.setattr(loop, "run_chunks", seen)
    assert call(monkeypatch, *FUSED, *typed, f"output={killed}") == 0
    assert started[0] >= 2, "from the checkpoint, not from the start"
    assert not list(killed.rglob(fused.RUNS))
    one, other = runs(whole), runs(killed)
    assert set(one) == set(other)
    for name, directory in one.items():
        same_run(other[name], directory)


def test_a_number_that_is_null_is_another_structure(small, monkeypatch, tmp_path):
    sizes = []

    def seen(points, *_):
        sizes.append(len(points))
        raise UserError("seen")

    monkeypatch.setattr(fused, "run_block", seen)
    typed = [*small, "learner=maml", "learner.inner.clip=null,1.0,2.0", f"output={tmp_path}"]
    assert call(monkeypatch, *FUSED, *typed) == 2
    assert sorted(sizes) == [1, 2]


def test_blocks():
    points = [SimpleNamespace(settings=SimpleNamespace(seeds=[0] * seeds)) for seeds in (1, 2, 5, 1)]  # pyright: ignore
    assert [len(block) for block in groups.blocks(points, 3)] == [2, 1, 1]
    assert [len(block) for block in groups.blocks(points, 100)] == [4]
