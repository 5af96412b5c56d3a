"""One experiment, in this process, into its run directory."""

import importlib
import json
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import polars as pl
import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import components, schema, sources, versions
from recmeta.config import parts as config_parts
from recmeta.experiment import prepare
from recmeta.experiment import run as experiment
from recmeta.experiment.summary import Reference, attainable, rivals
from recmeta.features import transform
from recmeta.metrics import metric
from recmeta.runs import directory as run_directory
from recmeta.runs import hashing, provenance
from recmeta.training import checkpoint
from recmeta.types import Diverged, UserError
from tests.encoders import examples


@pytest.fixture
def settings(small, tmp_path):
    """``settings(*overrides)``: a resolved config of a small run into ``tmp_path``."""

    def make(*overrides: str) -> dict:
        schema.register()
        with initialize_config_dir(str(schema.CONF), **versions.BASE):
            # What is set of the synthetic data set is no setting of another.
            base = [text for text in small if "dataset=table" not in overrides or not text.startswith("dataset")]
            composed = compose("config", [*base, "metrics=[mae,auc]", f"output={tmp_path}", *overrides])
        plain = OmegaConf.to_container(composed, resolve=True)
        assert isinstance(plain, dict)
        return {str(key): value for key, value in plain.items()}

    return make


def strict(path):
    """JSON as the standard has it: NaN and Infinity are no numbers."""

    def refuse(name):
        raise AssertionError(f"{path}: {name}")

    return json.loads(path.read_text(), parse_constant=refuse)


def test_a_run_from_start_to_end(settings):
    config = settings("seeds=[0,1]")
    summary = experiment.run(config, ["seeds=[0,1]"])
    directory = run_directory.place(config)
    assert {path.name for path in directory.iterdir()} == {
        "config.yaml", "overrides.yaml", "provenance.json", "metrics.jsonl", "task_scores.parquet", "checkpoints",
        "features", "calibration.json", "summary.json", ".lock",
    }  # fmt: skip
    written = strict(directory / "summary.json")
    assert set(written) - {"attainable"} == {
        "schema", "status", "name", "hashes", "metric", "goals", "scores", "adaptation", "validation", "baselines",
        "validated", "rivals", "bounds", "verdict", "speed",
    }  # fmt: skip
    assert (written["schema"], written["status"], written["name"]) == (1, "complete", "main")
    assert set(written["hashes"]) == {"config", "data", "protocol", "code"}
    assert {"name": "mae", "goal": "min", "scenario": "user_cold"}.items() <= written["metric"].items()
    assert written["metric"]["value"] == summary["metric"]["value"]
    saved = transform.load(directory / "features")
    first = saved.row({"year": 1990.0}, id=saved.state["row"][0].state["vocabulary"][0])
    assert (first["id"], first["genres"].any()) == (1, False)
    assert set(written["scores"]["user_cold"]) == {"model", "global_mean"}
    for scores in written["scores"]["user_cold"].values():
        assert set(scores) == {"mae", "auc"}
        assert set(scores["mae"]) == {"mean", "ci95", "tasks", "seeds"}
    assert written["scores"]["user_cold"]["model"]["mae"]["seeds"] == 2
    assert {"shots", "steps", "mae", "mean_abs_change", "no_op"} <= set(written["adaptation"]["user_cold"])
    assert {"best_baseline", "difference", "ci95", "p", "text"} <= set(written["verdict"]["user_cold"])
    assert set(written["validated"]["baselines"]["global_mean"]) == {"mae", "auc"}
    maps = strict(directory / "calibration.json")
    assert [len(maps["model"]), list(maps["global_mean"])] == [2, ["shots", "mean", "median"]]
    assert len(maps["model"][0]["mean"]["at"]) == len(maps["model"][0]["shots"])
    assert set(written["speed"]) == {
        "train_tasks_per_s",
        "eval_tasks_per_s",
        "compile_s",
        "wall_s",
        "peak_mb",
        "points",
    }
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    best = np.min([line["mae"] for line in lines if line["split"] == "validation"], axis=0)
    assert written["validation"]["seeds"] == best.tolist()
    assert written["validation"]["value"] == pytest.approx(best.mean())
    assert yaml.safe_load((directory / "config.yaml").read_text()) == config
    assert yaml.safe_load((directory / "overrides.yaml").read_text()) == ["seeds=[0,1]"]
    assert {"compilations", "compile_s", "versions", "device", "split"} <= set(strict(directory / "provenance.json"))
    lines = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    assert [(line["step"], line["split"]) for line in lines] == [
        (2, "train"), (2, "validation"), (4, "train"), (4, "validation")
    ]  # fmt: skip
    assert all(len(line["mae"]) == 2 for line in lines if line["split"] == "validation")
    scores = pl.read_parquet(directory / "task_scores.parquet")
    assert scores.columns[:6] == ["scenario", "method", "seed", "shots", "task", "n_query"]
    assert scores.columns[6:10] == ["activity", "popularity", "new_items", "completeness"]
    assert set(scores.columns[10:]) == {"mae", "auc"}
    assert set(scores.filter(method="model")["seed"]) == {0, 1}


def test_done_is_skipped_and_forced_runs_again(settings):
    config = settings("learner=none")
    first = experiment.run(config, [])
    assert set(first["scores"]["user_cold"]) == {"global_mean"}
    assert first["metric"]["value"] is None
    path = run_directory.place(config) / "summary.json"
    assert not (path.parent / "checkpoints").exists()
    written, scores = path.stat().st_mtime_ns, (path.parent / "task_scores.parquet").read_bytes()
    again = experiment.run(config | {"reporter": {}, "seeds": [5]}, [])
    assert again == strict(path)
    assert path.stat().st_mtime_ns == written
    experiment.run(config | {"force": True}, [])
    assert path.stat().st_mtime_ns > written
    assert (path.parent / "task_scores.parquet").read_bytes() == scores


@pytest.fixture
def table(settings, tmp_path):
    """``table(stars, *overrides)``: a config over a file of ratings, which is written anew with that one."""

    def make(stars: int, *overrides: str) -> dict:
        path = tmp_path / "ratings.csv"
        rows = [f"u{user},i{item},{1 + (user + item) % 5}" for user in range(60) for item in range(9)]
        path.write_text("\n".join(["user,item,label", f"u0,i10,{stars}", *rows]))
        return settings("dataset=table", f"dataset.interactions={path}", "dataset.label_range=[1,5]", *overrides)

    return make


@pytest.fixture
def interrupted(monkeypatch):
    """``interrupted(config)``: run until everything is trained, then be interrupted."""

    def interrupt(config: dict) -> None:
        def press(*_, **__):
            raise KeyboardInterrupt

        with monkeypatch.context() as patched:
            patched.setattr(experiment.predict, "test_learner", press)
            with pytest.raises(KeyboardInterrupt):
                experiment.run(config, [])

    return interrupt


def logged(config: dict) -> bytes:
    return (run_directory.place(config) / "metrics.jsonl").read_bytes()


CHANGED = r"holds a run of other data: the data changed since; force=true"


def test_what_another_process_finished_in_the_meantime_is_not_run_again(settings, monkeypatch):
    """Between looking and locking, too."""
    config = settings("learner=none")
    run = prepare.plan(config, [], multirun=True)
    made = prepare.prepare(run, *prepare.load(run.parts))
    reporter_of, path = experiment.reporter_of, run_directory.place(config) / "summary.json"

    def in_between(point):
        monkeypatch.setattr(experiment, "reporter_of", reporter_of)
        experiment.run(config, [])
        monkeypatch.setattr(experiment, "start", None)  # nothing more may start
        return reporter_of(point)

    monkeypatch.setattr(experiment, "reporter_of", in_between)
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    for _ in range(2):
        (outcome,) = experiment.run_block([run], made, path.parent / "checkpoints", clock, compiled)
        assert outcome == strict(path)


def test_other_data_under_the_same_config_is_not_skipped(table):
    first = experiment.run(table(3, "learner=none"), [])
    with pytest.raises(UserError, match=CHANGED):
        experiment.run(table(4, "learner=none"), [])
    assert experiment.run(table(3, "learner=none"), [])["hashes"] == first["hashes"]
    second = experiment.run(table(4, "learner=none", "force=true"), [])
    assert second["hashes"]["data"] != first["hashes"]["data"]
    assert second["hashes"]["config"] == first["hashes"]["config"]


def test_other_data_under_the_same_config_is_not_resumed(table, interrupted):
    interrupted(table(3))
    lines = logged(table(4))
    with pytest.raises(UserError, match=CHANGED):
        experiment.run(table(4), [])
    assert logged(table(4)) == lines


def test_other_code_is_said_and_no_error(settings, monkeypatch):
    config, said = settings("learner=none"), []
    make = experiment.record
    monkeypatch.setattr(experiment, "record", lambda: make()._replace(note=said.append))
    experiment.run(config, [])
    experiment.run(config, [])
    assert not [line for line in said if "code changed" in line]
    monkeypatch.setattr(prepare, "code_hash", lambda: "new")
    experiment.run(config, [])
    assert len([line for line in said if "code changed" in line]) == 1


OWN = """
import jax, jax.numpy as jnp
from recmeta.metrics import Metric
from recmeta.objectives import masked_mean
from recmeta.types import Objective

def above(*, by: float):
    return Metric(f"above@{by:g}", "max", "prediction", lambda view: (view.prediction > by).mean() * 1.0)

def pairs():
    def loss(scores, labels, where, weights=None, key=None):
        higher = where[:, None] & where & (labels[:, None] > labels)
        return masked_mean(jax.nn.softplus(scores - scores[:, None]), higher)
    return Objective(loss, rates=False)
"""


@pytest.fixture
def own(tmp_path, monkeypatch):
    """``own(text)``: a module of one's own with that text, as a new process finds it."""
    folder = tmp_path / "code"
    folder.mkdir()
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)  # which is told apart by the second alone

    def write(text):
        (folder / "mine_run.py").write_text(text)
        sys.modules.pop("mine_run", None)
        importlib.invalidate_caches()
        for cached in (hashing.file_hash, components._made, config_parts._called, sources._with_imports):
            cached.cache_clear()

    yield write
    sys.modules.pop("mine_run", None)


def test_an_edited_component_is_run_again(settings, own, monkeypatch):
    own(OWN)
    config = settings("learner=none") | {"metrics": ["mae", "auc", {"_target_": "mine_run.above", "by": 3.0}]}
    said, make = [], experiment.record
    monkeypatch.setattr(experiment, "record", lambda: make()._replace(note=said.append))
    value = lambda summary: summary["scores"]["user_cold"]["global_mean"]["above@3"]["mean"]  # noqa: E731
    first = experiment.run(config, [])
    assert "components" in first["hashes"]
    own(OWN)  # touched, and the same
    experiment.run(config, [])
    assert [line for line in said if line.startswith("already done, skipped")]
    said.clear()
    own(OWN.replace("view.prediction > by", "view.prediction < by"))
    second = experiment.run(config, [])
    assert value(first) + value(second) == pytest.approx(1)
    assert value(first) != value(second)
    directory = run_directory.place(config)
    assert f"mine_run.py changed since {directory} was started: it is run again" in said
    assert not [line for line in said if line.startswith("already done")]
    assert second["hashes"]["components"] != first["hashes"]["components"]
    assert strict(directory / "provenance.json")["components"].keys() == {"mine_run.py"}


def test_an_interrupted_run_of_an_edited_component_starts_over(settings, own, interrupted):
    own(OWN)
    config = settings("objective._target_=mine_run.pairs", "metric=auc")
    interrupted(config)
    losses = lambda: [line["loss"] for line in map(json.loads, logged(config).splitlines()) if "loss" in line]  # noqa: E731
    before = losses()
    own(OWN.replace("softplus(", "softplus(2 * "))
    experiment.run(config, [])
    assert len(losses()) == len(before) == 2
    assert losses()[0] != before[0], "what was trained by the old loss was trained again"


def test_an_objective_that_only_ranks_has_no_ratings(settings, own):
    own(OWN)
    with pytest.raises(UserError, match=r"^metric=mae: it reads ratings"):
        experiment.run(settings("objective._target_=mine_run.pairs"), [])
    config = settings("objective._target_=mine_run.pairs", "metric=auc", "learner=maml", "learner.inner_steps=2")
    summary = experiment.run(config, [])
    scores = summary["scores"]["user_cold"]
    assert scores["model"]["mae"]["mean"] is None
    assert scores["global_mean"]["mae"]["mean"] > 0
    assert scores["model"]["auc"]["mean"] is not None
    assert " AUC" in summary["verdict"]["user_cold"]["text"]
    assert set(summary["adaptation"]["user_cold"]) == {"shots", "steps", "wrong_pairs", "pairs_changed", "no_op"}
    assert "attainable" not in summary
    logged = [json.loads(line) for line in (run_directory.place(config) / "metrics.jsonl").read_text().splitlines()]
    assert not [line for line in logged if "mae" in line]


def test_a_forced_run_that_was_interrupted_resumes(settings, interrupted):
    config = settings("force=true")
    interrupted(config)
    lines = logged(config)
    experiment.run(config, [])
    assert logged(config) == lines, "what was trained before the interrupt was not trained again: the speeds are those"


def test_reporters_are_closed_though_the_checkpoints_can_not_be(settings, monkeypatch):
    def broken():
        raise RuntimeError("no close")

    opened = experiment.checkpoint.open
    monkeypatch.setattr(experiment.checkpoint, "open", lambda *args, **how: opened(*args, **how)._replace(close=broken))
    closed = []
    make = experiment.record
    monkeypatch.setattr(experiment, "record", lambda: make()._replace(close=closed.append))
    with pytest.raises(RuntimeError, match="no close"):
        experiment.run(settings(), [])
    assert [str(error) for error in closed] == ["no close"]


def test_one_seed_that_diverges_fails_the_run_and_is_named():
    experiment.check_converged(np.array([0.5, 0.7]), [3, 5])
    with pytest.raises(Diverged, match=r"^training diverged at seeds=\[5\]: .* the same: seeds=\[3,7\]$"):
        experiment.check_converged(np.array([0.5, np.inf, 0.7]), [3, 5, 7])
    with pytest.raises(Diverged, match=r"^training diverged at seeds=\[5\]: .* learner\.inner_rate$"):
        experiment.check_converged(np.array([np.inf]), [5])


def test_the_attainable_error_is_that_of_the_headline_support_size(data, problem):
    known = {"mae": 0.1, "rmse": 0.12, "mae@3": 0.3, "mae@5": 0.25, "rmse@5": 0.27}
    sized = {"mae@3": 0.3, "mae@5": 0.25, "rmse@5": 0.27}
    world = replace(data, attainable=known)
    assert attainable(world, problem) == {"mae": 0.25, **sized}
    assert attainable(world, problem._replace(headline=4)) == sized
    liked = problem._replace(spec=replace(problem.spec, low=0.0, high=1.0))
    assert attainable(world, liked) == {}
    assert attainable(data, problem) == {}


def test_tasks_per_second_of_evaluation_are_rows_of_task_scores(settings, monkeypatch):
    clock = SimpleNamespace(now=0.0)
    monkeypatch.setattr(experiment.provenance, "stopwatch", lambda: lambda: clock.now)
    evaluate = experiment.predict.test_learner

    def timed(*args):
        clock.now += 2.0
        return evaluate(*args)

    none = experiment.provenance.Compilations(0, 0.5)
    monkeypatch.setattr(experiment.provenance, "count_compilations", lambda: lambda: none)
    monkeypatch.setattr(experiment.predict, "test_learner", timed)
    monkeypatch.setattr(experiment, "train", lambda block, prepared, training, *_: (training, None))
    monkeypatch.setattr(experiment, "check_converged", lambda finite, seeds: None)
    summary = experiment.run(settings("seeds=[0,1]"), [])
    rows = 6 * 2 * 2  # test users, support sizes, seeds
    assert summary["speed"]["eval_tasks_per_s"] == rows / 1.5


@pytest.mark.real
def test_the_verdict_names_the_best_simple_baseline(tmp_path):
    """On ML-100K, of what a line of code computes, user+item bias is the one to beat; an untrained model does not."""
    schema.register()
    typed = [
        "learner=joint", "encoder=id", "encoder.width=4", "scorer=dot", "scorer.width=4", "steps=2", "eval_every=1",
        "protocol.episodes.shots=[0,20]", "metrics=[mae]", "reporter=quiet", f"output={tmp_path}",
        "baselines=[random,global_mean,item_mean,support_mean,popularity,user_item_bias]",
    ]  # fmt: skip
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        config = OmegaConf.to_container(compose("config", typed), resolve=True)
    assert isinstance(config, dict)
    summary = experiment.run({str(key): value for key, value in config.items()}, typed)
    scores = {name: found["mae"]["mean"] for name, found in summary["scores"]["user_cold"].items()}
    simple = {name: mae for name, mae in scores.items() if name not in ("model", "popularity")}
    assert min(simple, key=simple.__getitem__) == "user_item_bias"
    verdict = summary["verdict"]["user_cold"]
    assert verdict["best_baseline"] == "user_item_bias"
    assert verdict["difference"] == pytest.approx(scores["model"] - scores["user_item_bias"], abs=1e-6)
    assert verdict["p"] < 0.01
    assert verdict["text"].startswith("above user_item_bias, the best baseline on meta-validation, by ")
    assert verdict["text"].endswith(": worse")


def test_each_metric_has_the_rival_that_is_best_by_it_on_meta_validation(problem):
    """At the headline support size, the last here; a method without a metric is no rival by it."""
    values: dict[str, dict[str, list[float]]] = {
        "a": {"mae": [0.9, 0.7], "auc": [0.6, 0.5]},
        "b": {"mae": [0.8, 0.8], "auc": [0.5, 0.6]},
        "ranks": {"mae": [np.nan, np.nan], "auc": [0.9, 0.55]},
    }
    reference = Reference(None, {}, {}, {}, {}, values)
    problem = problem._replace(shots=(0, 5), headline=5)
    metrics = [metric(name) for name in ("mae", "auc")]
    assert rivals(reference, metrics, problem) == {"mae": "a", "auc": "b"}
    assert rivals(reference, metrics, problem._replace(headline=0)) == {"mae": "b", "auc": "ranks"}
    assert rivals(reference._replace(validated={}), metrics, problem) == {"mae": None, "auc": None}


def test_what_is_measured_of_all_tasks_at_once_stands_beside_the_means(settings):
    """A baseline that ranks all alike shows the same items to everybody; each seed of the model counts."""
    config = settings("seeds=[0,1]", "metrics=[mae,auc,coverage@3]", "protocol.candidates.kind=full")
    summary = experiment.run(config, [])
    scores = summary["scores"]["user_cold"]
    assert 0 < scores["model"]["coverage@3"]["mean"] <= 1
    assert scores["model"]["coverage@3"] | {"mean": 0} == {
        "mean": 0, "ci95": [None, None], "tasks": scores["model"]["mae"]["tasks"], "seeds": 2,
    }  # fmt: skip
    assert 0 < scores["global_mean"]["coverage@3"]["mean"] <= 1
    assert "coverage@3" not in pl.read_parquet(run_directory.place(config) / "task_scores.parquet").columns


def test_raw_points_are_those_that_the_learner_predicts(settings):
    """At full depth the error on adaptation, which no map touches, is then the table's; calibrated, it is not."""
    raw = experiment.run(settings("point=raw"), [])
    found = raw["adaptation"]["user_cold"]
    place = found["shots"].index(raw["metric"]["shots"])
    assert raw["metric"]["value"] == pytest.approx(found["mae"][place][-1], rel=1e-5)
    assert not (run_directory.place(settings("point=raw")) / "calibration.json").exists()
    fitted = experiment.run(settings(), [])
    assert fitted["adaptation"]["user_cold"]["mae"] == found["mae"]
    assert fitted["validation"]["value"] == raw["validation"]["value"]
    assert fitted["scores"]["user_cold"]["model"]["auc"] == raw["scores"]["user_cold"]["model"]["auc"]
    assert fitted["metric"]["value"] != raw["metric"]["value"]
    with pytest.raises(UserError, match="point=median: must be fitted or raw"):
        experiment.run(settings("point=median"), [])


def with_encoder(config, **block):
    return config | {"encoder": {"_partial_": True, "_convert_": "all", "width": 2, **block}}


def test_constants_are_hashed_and_kept_nowhere_and_changed_ones_are_another_run(settings, monkeypatch):
    config = with_encoder(settings(), _target_="tests.encoders.examples.frozen")
    summary = experiment.run(config, [])
    directory = run_directory.place(config)
    hashes = strict(directory / "provenance.json")["hashes"]
    assert hashes == summary["hashes"]
    assert len(hashes["constants"]) == 64
    held = checkpoint.read(directory / "checkpoints")
    assert not [name for name in held if "vectors" in name]
    assert experiment.run(config, []) == summary  # done
    before = examples.vectors
    monkeypatch.setattr(examples, "vectors", lambda spec: before(spec) + 1)
    with pytest.raises(UserError, match="holds a run of other constants: arrays that nobody trains"):
        experiment.run(config, [])


def test_an_encoder_may_ask_for_the_background(settings):
    """By its name: it is no setting."""
    config = with_encoder(settings(), _target_="tests.encoders.examples.remembers")
    assert "constants" in experiment.run(config, [])["hashes"]
    with pytest.raises(UserError, match=r"encoder\.background"):
        experiment.run(with_encoder(settings(), _target_="tests.encoders.examples.frozen", background=1), [])


def test_a_model_without_constants_has_no_hash_of_them(settings):
    planned = prepare.plan(settings(), [], multirun=False)
    assert "constants" not in prepare.prepare(planned, *prepare.load(planned.parts)).hashes


def test_what_can_not_be_adapted_is_refused_before_anything_is_written(settings, tmp_path):
    config = with_encoder(settings("learner=maml"), _target_="tests.encoders.examples.taken")
    with pytest.raises(UserError, match=r"^encoder\.row\.table: this table"):
        experiment.run(config, [])
    config = with_encoder(settings("learner=maml", "learner.adapts=lora"), _target_="tests.encoders.examples.dense")
    with pytest.raises(UserError, match=r"^learner\.adapts=lora: no adapter reaches encoder\.layer\.kernel"):
        experiment.run(config, [])
    assert list(tmp_path.iterdir()) == []
