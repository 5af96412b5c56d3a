"""A thousand runs are a table in seconds."""

import json
import time

import numpy as np
import polars as pl
import pytest
import yaml

from recmeta.results.__main__ import main

LEARNERS, SETTINGS, SPLITS = 5, 20, 10
SHOTS, TASKS, METRICS = (0, 1, 3, 5, 10, 20), 74, ("mae", "rmse", "ndcg@5", "recall@5", "mrr", "auc")
BASELINES = ("random", "global_mean", "item_mean", "support_mean", "popularity", "user_item_bias", "knn", "svd")


@pytest.fixture
def thousand(tmp_path, config):
    """As large as runs on ML-100K with its defaults are: eight baselines, six support sizes, six metrics, 74 users."""
    rng = np.random.default_rng(0)
    methods = ("model", *BASELINES)
    index = [(method, shots, task) for method in methods for shots in SHOTS for task in range(TASKS)]
    of_split = [rng.normal(0.8, 0.2, (len(index), len(METRICS))) for _ in range(SPLITS)]
    for learner in range(LEARNERS):
        for setting in range(SETTINGS):
            for split in range(SPLITS):
                directory = tmp_path / "outputs" / f"{learner}-{setting}-{split}"
                directory.mkdir(parents=True)
                values = of_split[split].copy()
                values[: len(SHOTS) * TASKS] += rng.normal(0, 0.05, (len(SHOTS) * TASKS, len(METRICS)))
                method, shots, task = zip(*index, strict=True)
                pl.DataFrame({
                    "scenario": ["user_cold"] * len(index), "method": method,
                    "seed": pl.Series([0 if name == "model" else None for name in method], dtype=pl.Int64),
                    "shots": shots,
                    "task": [f"{split}u{one}" for one in task], "n_query": [10] * len(index),
                    "activity": [float(one) for one in task], **dict(zip(METRICS, values.T, strict=True)),
                }).write_parquet(directory / "task_scores.parquet")  # fmt: skip
                settings = {"rate": 0.01 * (setting + 1), **{f"option_{i}": i for i in range(40)}}
                made = config(f"learner{learner}", split=split, shots=SHOTS, learner_settings=settings)
                (directory / "config.yaml").write_text(yaml.dump(made, Dumper=yaml.CSafeDumper))
                (directory / "overrides.yaml").write_text("- learner=x\n")
                hashes = {"data": "d", "protocol": f"split{split}", "code": "c"}
                summary = {"status": "complete", "hashes": hashes, "metric": {"name": "mae", "goal": "min"}}
                (directory / "summary.json").write_text(json.dumps(summary | {"baselines": {}}))
                lines = [{"step": 100 * i, "split": "validation", "mae": [0.8]} for i in range(1, 16)]
                (directory / "metrics.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    return tmp_path / "outputs"


@pytest.mark.slow
def test_a_thousand_runs_are_tabulated_in_seconds(thousand, capsys):
    start = time.process_time()
    assert main([str(thousand), "--all"]) == 0
    seconds = time.process_time() - start
    printed = capsys.readouterr().out
    assert printed.count("learner=learner3 learner.rate=") > SETTINGS
    print(f"{LEARNERS * SETTINGS * SPLITS} runs: {seconds:.1f} s of the processor")
    assert seconds < 20, "10 s by the clock on two cores"


@pytest.mark.slow
def test_the_status_of_a_thousand_runs_in_a_second(thousand, capsys):
    start = time.process_time()
    assert main(["status", str(thousand)]) == 0
    assert capsys.readouterr().out == "1000 runs: 1000 done\n"
    assert time.process_time() - start < 5
