"""Bootstrap intervals against closed forms and by simulation."""

from itertools import product

import numpy as np
import polars as pl
import pytest

from recmeta.statistics import bootstrap, bootstraps, matrix, mean_of


def test_bootstrap_is_the_interval_of_a_mean():
    values = np.random.default_rng(0).normal(2, 1, (1, 400))
    mean, lo, hi = bootstrap(values, draws=4000)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert mean == pytest.approx(values.mean(), abs=1e-12)
    assert (lo, hi) == pytest.approx((mean - half, mean + half), abs=0.012)
    assert bootstrap(values) == bootstrap(values)
    assert bootstrap(values, seed=1) != bootstrap(values, seed=2)


def test_bootstrap_sees_that_seeds_differ():
    """Its variance is that of tasks, plus that of seeds: sum of squares over S (S - 1), not over S squared."""
    rng = np.random.default_rng(2)
    of_seed = np.linspace(-3, 3, 3)[:, None]
    _, lo, hi = bootstrap(rng.normal(0, 0.01, (1, 50)) + of_seed, draws=20_000)
    draws = np.array([bootstrap(of_seed.repeat(2, axis=1), seed=s, draws=1)[1] for s in range(4000)])
    assert draws.std() == pytest.approx(of_seed.std(ddof=1) / np.sqrt(3), rel=0.03)
    assert lo < -2 < 2 < hi


def test_bootstrap_of_few_or_no_values():
    assert np.isnan(bootstrap(np.empty((0, 0)))).all()
    assert np.isnan(bootstrap(np.empty((1, 0)))).all()
    assert np.isnan(bootstrap(np.array([[3.0], [5.0]]))).tolist() == [False, True, True]
    assert mean_of(np.array([[3.0], [5.0]])) == 4


def test_bootstrap_of_many_tasks_is_in_chunks():
    values = np.random.default_rng(4).normal(1, 1, (1, 30_000))
    mean, lo, hi = bootstrap(values, draws=200)  # 66 draws at a time
    assert hi - lo == pytest.approx(2 * 1.96 / np.sqrt(30_000), rel=0.25)
    assert lo < mean < hi


def seeds_by_tasks(rng, seeds, tasks, of_seed):
    """A full matrix: what is a task's, what is a seed's, and what is neither's."""
    return rng.normal(0, of_seed, (seeds, 1)) + rng.normal(0, 1, (1, tasks)) + rng.normal(0, 0.3, (seeds, tasks))


def splits_of_users(rng, splits, users, share, of_cell, seeds=1, of_split=0.0):
    """Task scores of several splits: each has another part of the users, so that most cells are empty."""
    of_user = rng.normal(0, 1, users)
    parts = []
    for split in range(splits):
        chosen = rng.permutation(users)[: round(share * users)]
        values = of_user[chosen] + rng.normal(0, of_split) + rng.normal(0, of_cell, (seeds, len(chosen)))
        columns = {"split": str(split), "task": np.tile(chosen, seeds).astype(str), "mae": values.ravel()}
        parts.append(pl.DataFrame(columns | {"seed": np.repeat(np.arange(seeds), len(chosen))}))
    return pl.concat(parts)


def coverage(simulate, times, draws=400):
    """How often the interval holds the truth, which is 0."""
    rng = np.random.default_rng(1)
    found = [bootstrap(simulate(rng), draws=draws)[1:] for _ in range(times)]
    return np.mean([lo <= 0 <= hi for lo, hi in found])


SEEDS = [(1, 40, 0.0), (12, 40, 0.3), (3, 100, 0.1)]
SPLITS = [(8, 0.1, 0.5, 1), (8, 0.1, 2.0, 1), (4, 0.2, 0.5, 3), (30, 0.1, 1.0, 1)]


@pytest.mark.parametrize(("seeds", "tasks", "of_seed"), SEEDS)
def test_bootstrap_over_seeds_covers_the_truth(seeds, tasks, of_seed):
    # 300 repetitions: a standard error of 1.3 %.
    assert 0.91 <= coverage(lambda rng: seeds_by_tasks(rng, seeds, tasks, of_seed), 300) <= 0.98


@pytest.mark.parametrize(("splits", "share", "of_cell", "seeds"), SPLITS)
def test_bootstrap_over_splits_covers_the_truth(splits, share, of_cell, seeds):
    """A crossed bootstrap of the nearly empty matrix of splits and users would cover more than 99 %."""
    frames = [splits_of_users(np.random.default_rng(i), splits, 200, share, of_cell, seeds) for i in range(250)]
    queue = iter(frames)
    assert 0.91 <= coverage(lambda rng: matrix(next(queue), "mae", ["split"]), 250) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(("seeds", "tasks", "of_seed"), SEEDS)
def test_coverage_over_seeds(seeds, tasks, of_seed):
    # 3000 repetitions: a standard error of 0.4 %.
    assert 0.93 <= coverage(lambda rng: seeds_by_tasks(rng, seeds, tasks, of_seed), 3000, 1000) <= 0.97


@pytest.mark.slow
@pytest.mark.parametrize(("splits", "share", "of_cell", "seeds"), SPLITS)
def test_coverage_over_splits(splits, share, of_cell, seeds):
    def simulate(rng):
        return matrix(splits_of_users(rng, splits, 200, share, of_cell, seeds), "mae", ["split"])

    assert 0.93 <= coverage(simulate, 2000, 1000) <= 0.97


def test_several_at_once_are_each_alone():
    rng = np.random.default_rng(5)
    several = [rng.normal(size=shape) for shape in ((1, 30), (3, 30), (1, 7), (1, 30), (3, 30), (1, 1), (1, 0))]
    for values, found in zip(several, bootstraps(several), strict=True):
        np.testing.assert_allclose(found, bootstrap(values), rtol=1e-12)


def test_it_is_the_mean_of_drawn_tasks():
    """Values that are told from each other by their size: every resample is a mean of as many of them."""
    values = np.array([[1.0, 10, 100, 1000]])
    _, lo, hi = bootstrap(values, draws=20_000)
    every = np.array(list(product(values[0], repeat=4))).mean(axis=1)
    assert (lo, hi) == pytest.approx(tuple(np.quantile(every, [0.025, 0.975])), rel=0.02)
