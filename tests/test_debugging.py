"""JAX's own means of debugging work: double precision, and an error where a NaN arises that is not meant.

They are set as in a program; the environment variables JAX_ENABLE_X64 and JAX_DEBUG_NANS set the same.
"""

import jax
import polars as pl
import pytest

from tests.command import call


@pytest.mark.parametrize(
    "learner",
    ["maml", "ridge", *(pytest.param(name, marks=pytest.mark.slow) for name in ("protonet", "reptile", "in_context"))],
)
def test_double_precision(small, monkeypatch, tmp_path, learner):
    """The learners that adapt by gradients and in closed form; by distances, by all rows of a loop, and in context."""
    with jax.enable_x64():
        assert call(monkeypatch, *small, f"learner={learner}", f"output={tmp_path}") == 0
    (path,) = tmp_path.rglob("task_scores.parquet")
    assert pl.read_parquet(path)["mae"].is_finite().all()


def test_nan_is_an_error_where_none_is_meant(small, monkeypatch, tmp_path):
    """Scores that are undefined, as of a baseline that only ranks, are none: their NaN is meant."""
    metrics = ["metrics=[mae,ndcg@3]", "baselines=[global_mean,popularity,item_knn]", f"output={tmp_path}"]
    with jax.debug_nans(True):
        assert call(monkeypatch, *small, *metrics) == 0
        (path,) = tmp_path.rglob("task_scores.parquet")
        scores = pl.read_parquet(path)
        assert scores.filter(pl.col("method") == "popularity")["mae"].is_nan().all()
        with pytest.raises(Exception, match="nan") as raised:
            call(monkeypatch, *small, *metrics, "optimizer.learning_rate=1e30", "clip=null", "force=true")
    assert "FloatingPointError" in type(raised.value).__name__  # of a compiled program it is JAX's own
