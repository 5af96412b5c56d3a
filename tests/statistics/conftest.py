"""Task scores written by hand."""

import numpy as np
import polars as pl
import pytest

SCHEMA = {"scenario": pl.String, "method": pl.String, "seed": pl.Int64, "shots": pl.Int64, "task": pl.String,
          "n_query": pl.Int64, "mae": pl.Float64, "auc": pl.Float64}  # fmt: skip


def _scores(method, values, seeds=(None,), shots=20, scenario="user_cold", auc=0.5, **more):
    rows = [
        (scenario, method, seed, shots, f"u{task}", 10, float(value), auc)
        for seed, row in zip(seeds, np.atleast_2d(values), strict=True)
        for task, value in enumerate(row)
    ]
    return pl.DataFrame(rows, schema=SCHEMA, orient="row").with_columns(**{k: pl.lit(v) for k, v in more.items()})


@pytest.fixture
def scores():
    """Makes task scores of one method: ``values [S, N]`` of MAE; further columns by keyword."""
    return _scores
