"""Run directories written by hand."""

import json

import numpy as np
import polars as pl
import pytest
import yaml

NAN = float("nan")


def _config(learner="ridge", split=0, seeds=(0,), shots=(5, 20), **more):
    """A small resolved config."""
    block = {"_target_": f"recmeta.learners.{learner}", "_partial_": True} if learner else {"_target_": None}
    return {
        "dataset": {"_target_": "recmeta.datasets.tiny", "like": 4.0},
        "protocol": {
            "_target_": "recmeta.protocols.user_cold",
            "seed": split,
            "episodes": {"shots": list(shots), "headline": None},
        },
        "learner": block | more.pop("learner_settings", {}),
        "optimizer": {"_target_": "optax.adam", "rate": 0.01},
        "seeds": list(seeds),
        "batch": 4,
        "eval_every": 10,
        "name": "study",
        "reporter": {},
    } | more


@pytest.fixture
def config():
    """Makes a small resolved config."""
    return _config


def _as_on_test(frame):
    """What a summary says of the baselines on meta-validation: the same as on the test tasks."""
    baselines = frame.filter(pl.col("method") != "model").with_columns(pl.col("mae", "ndcg@5").fill_nan(None))
    means = baselines.group_by("method", "shots", maintain_order=True).agg(pl.col("mae", "ndcg@5").mean())
    shots = sorted(frame["shots"].unique())
    values = {
        method: {name: part.sort("shots")[name].to_list() for name in ("mae", "ndcg@5")}
        for (method,), part in means.group_by("method", maintain_order=True)
    }
    return {"shots": shots, "baselines": values}


@pytest.fixture
def make(tmp_path):
    """Writes a complete run: ``scores`` is method -> values [S, N] of MAE at the headline, the model's by seeds.

    ``baselines`` is what the summary says of how they were tuned; ``validated`` meta-validations, a value per seed
    each; ``rate`` the tasks per second of training; ``chosen`` what every baseline reached on meta-validation, by
    default what it reaches on the test tasks; ``departs`` what makes the learner another method than its name says.
    """

    def write(
        folder,
        settings,
        scores,
        data="data0",
        protocol=None,
        tasks=None,
        metric="mae",
        goal="min",
        extra=None,
        code="c0de",
        baselines=None,
        validated=(),
        rate=100.0,
        chosen=None,
        departs=None,
    ):
        directory = tmp_path / "outputs" / folder
        directory.mkdir(parents=True)
        rows = []
        for method, values in scores.items():
            values = np.atleast_2d(values)
            seeds = settings["seeds"] if method == "model" else [None]
            for shots in settings["protocol"]["episodes"]["shots"]:
                harder = 0.5 * (shots != max(settings["protocol"]["episodes"]["shots"]))
                for seed, row in zip(seeds, values, strict=True):
                    for task, value in zip(tasks or range(len(row)), row, strict=True):
                        more = extra(method, value) if extra else NAN
                        rows.append(("user_cold", method, seed, shots, f"u{task}", 10, float(value + harder), more))
        columns = ["scenario", "method", "seed", "shots", "task", "n_query", "mae", "ndcg@5"]
        kinds = [pl.String, pl.String, pl.Int64, pl.Int64, pl.String, pl.Int64, pl.Float64, pl.Float64]
        frame = pl.DataFrame(rows, schema=dict(zip(columns, kinds, strict=True)), orient="row")
        frame.write_parquet(directory / "task_scores.parquet")
        (directory / "config.yaml").write_text(yaml.safe_dump(settings), encoding="utf-8")
        (directory / "overrides.yaml").write_text(yaml.safe_dump([f"learner={folder}"]))
        hashes = {"data": data, "protocol": protocol or f"split{settings['protocol']['seed']}", "code": code}
        summary = {"status": "complete", "hashes": hashes, "metric": {"name": metric, "goal": goal}}
        summary["goals"] = {"mae": "min", "ndcg@5": "max"} | {metric: goal}
        summary["baselines"] = baselines or {}
        summary |= {"departs": departs} if departs else {}
        summary["validated"] = _as_on_test(frame) if chosen is None else chosen
        lines = []
        for chunk, values in enumerate(validated, start=1):
            lines.append({"step": 10 * chunk, "split": "train", "tasks_per_s": [rate] * len(values)})
            lines.append({"step": 10 * chunk, "split": "validation", metric: list(values)})
        (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
        (directory / "summary.json").write_text(json.dumps(summary))
        return directory

    return write
