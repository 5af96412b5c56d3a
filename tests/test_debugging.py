"""JAX's own means of debugging work: double precision, and an error where a NaN arises that is not meant."""

import os
import subprocess
import sys

import polars as pl


def run(*typed, **environment):
    command = [sys.executable, "-m", "recmeta", *typed]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True)


def test_double_precision(small, tmp_path):
    """The learners that adapt by gradients, in closed form, and by distances."""
    ended = run("-m", *small, "learner=maml,ridge,protonet", f"output={tmp_path}", JAX_ENABLE_X64="1")
    assert ended.returncode == 0, ended.stderr
    scores = [pl.read_parquet(path) for path in tmp_path.rglob("task_scores.parquet")]
    assert len(scores) == 3
    assert all(each["mae"].is_finite().all() for each in scores)


def test_nan_is_an_error_where_none_is_meant(small, tmp_path):
    """Scores that are undefined, as of a baseline that only ranks, are none: their NaN is meant."""
    metrics = ["metrics=[mae,ndcg@3]", "baselines=[global_mean,popularity,item_knn]", f"output={tmp_path}"]
    ended = run(*small, *metrics, JAX_DEBUG_NANS="1")
    assert ended.returncode == 0, ended.stderr
    (path,) = tmp_path.rglob("task_scores.parquet")
    scores = pl.read_parquet(path)
    assert scores.filter(pl.col("method") == "popularity")["mae"].is_nan().all()
    ended = run(*small, *metrics, "optimizer.learning_rate=1e30", "clip=null", "force=true", JAX_DEBUG_NANS="1")
    assert "FloatingPointError" in ended.stderr
