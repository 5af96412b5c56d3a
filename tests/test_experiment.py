"""One experiment, in this process, into its run directory."""

import json

import polars as pl
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta import experiment, schema
from recmeta.types import UserError

SMALL = (
    "dataset=synthetic", "dataset.users=60", "dataset.items=30", "dataset.per_user=[10,12]", "protocol.shots=[0,3]",
    "protocol.query=4", "learner=ridge", "encoder.width=4", "scorer=dot", "scorer.width=4", "steps=4", "eval_every=2",
    "batch=4", "reporter=quiet", "baselines=[global_mean]", "metrics=[mae,auc]",
)  # fmt: skip


def config(output, *overrides: str) -> dict:
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        composed = compose("config", [*SMALL, f"output={output}", *overrides])
    plain = OmegaConf.to_container(composed, resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def strict(path):
    """JSON as the standard has it: NaN and Infinity are no numbers."""

    def refuse(name):
        raise AssertionError(f"{path}: {name}")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_run_from_start_to_end(tmp_path):
    settings = config(tmp_path, "seeds=[0,1]")
    summary = experiment.run(settings, ["seeds=[0,1]"])
    directory = experiment.run_directory(settings)
    assert {path.name for path in directory.iterdir()} == {
        "config.yaml", "overrides.yaml", "provenance.json", "metrics.jsonl", "task_scores.parquet", "checkpoints",
        "summary.json",
    }  # fmt: skip
    written = strict(directory / "summary.json")
    assert set(written) - {"attainable"} == {
        "schema", "status", "name", "hashes", "metric", "scores", "adaptation", "verdict", "speed"
    }  # fmt: skip
    assert (written["schema"], written["status"], written["name"]) == (1, "complete", "main")
    assert set(written["hashes"]) == {"config", "data", "protocol", "code"}
    assert {"name": "mae", "goal": "min", "scenario": "user_cold"}.items() <= written["metric"].items()
    assert written["metric"]["value"] == summary["metric"]["value"]
    assert set(written["scores"]["user_cold"]) == {"model", "global_mean"}
    for scores in written["scores"]["user_cold"].values():
        assert set(scores) == {"mae", "auc"}
        assert set(scores["mae"]) == {"mean", "ci95", "tasks", "seeds"}
    assert written["scores"]["user_cold"]["model"]["mae"]["seeds"] == 2
    assert {"shots", "steps", "mae", "mean_abs_change", "no_op"} <= set(written["adaptation"]["user_cold"])
    assert {"best_baseline", "difference", "ci95", "p", "text"} <= set(written["verdict"]["user_cold"])
    assert set(written["speed"]) == {"train_tasks_per_s", "eval_tasks_per_s", "compile_s", "wall_s", "peak_mb"}
    assert yaml.safe_load((directory / "config.yaml").read_text()) == settings
    assert yaml.safe_load((directory / "overrides.yaml").read_text()) == ["seeds=[0,1]"]
    assert {"compilations", "compile_s", "versions", "device", "split"} <= set(strict(directory / "provenance.json"))
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["split"]) for line in lines] == [
        (2, "train"), (2, "validation"), (4, "train"), (4, "validation")
    ]  # fmt: skip
    assert all(len(line["mae"]) == 2 for line in lines if line["split"] == "validation")
    scores = pl.read_parquet(directory / "task_scores.parquet")
    assert scores.columns[:6] == ["scenario", "method", "seed", "shots", "task", "n_query"]
    assert set(scores.columns[6:]) == {"mae", "auc"}
    assert set(scores.filter(method="model")["seed"]) == {0, 1}


def test_done_is_skipped_and_forced_runs_again(tmp_path):
    settings = config(tmp_path, "learner=none")
    first = experiment.run(settings, [])
    assert set(first["scores"]["user_cold"]) == {"global_mean"}
    assert first["metric"]["value"] is None
    path = experiment.run_directory(settings) / "summary.json"
    written, scores = path.stat().st_mtime_ns, (path.parent / "task_scores.parquet").read_bytes()
    again = experiment.run(settings | {"reporter": {}}, [])
    assert again == strict(path)
    assert path.stat().st_mtime_ns == written
    experiment.run(settings | {"force": True}, [])
    assert path.stat().st_mtime_ns > written
    assert (path.parent / "task_scores.parquet").read_bytes() == scores


def test_directory_of_another_config(tmp_path):
    settings = config(tmp_path, "learner=none")
    directory = experiment.run_directory(settings)
    directory.mkdir(parents=True)
    (directory / "config.yaml").write_text(yaml.safe_dump(settings | {"batch": 99}))
    with pytest.raises(UserError, match=r"holds a run of another config; remove it, or give another name="):
        experiment.run(settings, [])
    for damaged in ("a: [", "3"):
        (directory / "config.yaml").write_text(damaged)
        with pytest.raises(UserError, match=str(directory)):
            experiment.run(settings, [])
    assert [path.name for path in directory.iterdir()] == ["config.yaml"]


def test_failures_are_recorded_beside_no_numbers(tmp_path):
    settings = config(tmp_path)
    directory = experiment.run_directory(settings)
    experiment.record_failure(settings, ["steps=4"], UserError("too\nbad"))
    assert strict(directory / "failure.json") == {"error": "too bad", "type": "UserError", "overrides": ["steps=4"]}
    (directory / "failure.json").unlink()
    (directory / "summary.json").write_text("{}")
    experiment.record_failure(settings, [], UserError("bad"))
    experiment.record_failure(settings | {"name": ".."}, [], UserError("bad"))
    experiment.record_failure({}, [], UserError("bad"))
    assert not list(tmp_path.rglob("failure.json"))
