"""A run to report, and what a finished one hands over."""

import polars as pl
import pytest

from recmeta.types import Run


@pytest.fixture
def make_run(tmp_path):
    """Makes a `Run`, fresh or resumed; its directory exists, as reporters may expect."""

    def make(step: int = 0, steps: int = 100, seeds: tuple[int, ...] = (0, 7), multirun: bool = False) -> Run:
        directory = tmp_path / "outputs" / "study" / "c0ffee"
        directory.mkdir(parents=True, exist_ok=True)
        return Run(
            name="study",
            directory=directory,
            config={
                "name": "study",
                "seeds": list(seeds),
                "learner": {"_target_": "recmeta.learners.maml", "inner_rate": 0.01, "clip": float("inf"), "x": None},
            },
            overrides=["learner=maml", "seeds=[0,7]"],
            hashes={"config": "c0ffee1234", "data": "d", "protocol": "p", "code": "k"},
            seeds=seeds,
            steps=steps,
            step=step,
            provenance={"versions": {"jax": "0"}, "wall_s": None},
            multirun=multirun,
            goals={"mae": "min", "ndcg@5": "max"},
            metric="mae",
        )

    return make


@pytest.fixture
def summary():
    """A summary after DESIGN section 5, with everything in it."""

    def score(mean: float | None, half: float = 0.01, seeds: int = 2) -> dict:
        return {
            "mean": mean,
            "ci95": None if mean is None else [mean - half, mean + half],
            "tasks": 189,
            "seeds": seeds,
        }

    return {
        "schema": 1,
        "status": "complete",
        "name": "study",
        "hashes": {"config": "c0ffee1234"},
        "metric": {"name": "mae", "goal": "min", "scenario": "user_cold", "value": 0.7431},
        "scores": {
            "warm": {"model": {"mae": score(0.6543)}},
            "user_cold": {
                "popularity": {"ndcg@5": score(0.6011, seeds=1)},
                "item_mean": {"mae": score(0.8112, seeds=1), "ndcg@5": score(0.7012, seeds=1)},
                "model": {"mae": score(0.7431), "ndcg@5": score(0.7256)},
                "user_item_bias": {"mae": score(0.7212, seeds=1), "ndcg@5": score(None)},
            },
        },
        "adaptation": {
            "user_cold": {
                "shots": [0, 5],
                "steps": [0, 1, 2],
                "mae": [[0.9001, 0.9002, 0.9003], [0.9001, 0.8004, 0.7005]],
                "mean_abs_change": 0.1234,
                "no_op": False,
            },
            "warm": {"shots": [5], "steps": [0], "mae": [[0.6]], "mean_abs_change": 0.0, "no_op": True},
        },
        "verdict": {
            "user_cold": {
                "best_baseline": "user_item_bias",
                "difference": 0.0219,
                "ci95": [0.01, 0.03],
                "p": 0.002,
                "text": "worse than user_item_bias by 0.0219 [0.0100, 0.0300]",
            }
        },
        "speed": {
            "train_tasks_per_s": 12345.6,
            "eval_tasks_per_s": None,
            "compile_s": 2.5,
            "wall_s": 61.0,
            "peak_mb": 512.0,
        },
    }


@pytest.fixture
def task_scores() -> pl.DataFrame:
    """Two rows of `TaskScores`."""
    return pl.DataFrame(
        {
            "scenario": ["user_cold"] * 2,
            "method": ["model"] * 2,
            "seed": [0, 7],
            "shots": [5, 5],
            "task": ["a", "a"],
            "n_query": [3, 3],
            "mae": [0.5, 0.25],
        }
    )
