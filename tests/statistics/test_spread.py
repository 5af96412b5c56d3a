"""The error of a mean: Student's t of one training, and its limits where trainings or tasks vary alone."""

import numpy as np
import pytest
from scipy import stats

from recmeta.statistics.spread import NO_LUCK, Luck, spread

VALUES = np.random.default_rng(0).normal(0, 1, 100)
TASKS = VALUES.var(ddof=1) / 100


def test_of_one_training_it_is_students():
    found = spread(VALUES, NO_LUCK)
    assert found.half() == pytest.approx(stats.t.ppf(0.975, 99) * np.sqrt(TASKS))
    assert found.p(0.2) == pytest.approx(2 * stats.t.sf(0.2 / np.sqrt(TASKS), 99))
    assert found.variance == pytest.approx(TASKS)


@pytest.mark.parametrize("freedom", [1.0, 2.0, 4.0, 8.0])
def test_where_trainings_vary_alone_it_is_students_of_their_degrees_of_freedom(freedom):
    found = spread(VALUES, Luck(1e4, 0.0, freedom, 3))
    for level in (0.05, 1e-3, 1e-5):  # corrected p of large families are read far out
        assert found.half(level) == pytest.approx(100 * stats.t.ppf(1 - level / 2, freedom), rel=1e-3)


def test_where_trainings_agree_it_is_that_of_tasks():
    found = spread(VALUES, Luck(1e-9, 0.0, 2.0, 3))
    assert found.half() == pytest.approx(spread(VALUES, NO_LUCK).half(), rel=0.002)


def test_the_part_of_tasks_that_differs_between_trainings_counts_once():
    shared = Luck(0.7 * TASKS, 0.5 * TASKS, 4.0, 5)
    assert spread(VALUES, shared).variance == pytest.approx(1.2 * TASKS)


def test_a_cautious_interval_is_never_narrower_than_that_of_tasks():
    """Splits that agree by chance: their own interval would be a tenth of it."""
    agree = Luck(TASKS / 1000, TASKS, 2.0, 3)
    alone = spread(VALUES, NO_LUCK)
    assert spread(VALUES, agree).half() < alone.half() / 5
    assert spread(VALUES, agree._replace(cautious=True)).half() == pytest.approx(alone.half())


@pytest.mark.parametrize("luck", [NO_LUCK, Luck(0.02, 0.001, 2.0, 3), Luck(0.001, 0.01, 2.5, 3, cautious=True)])
def test_the_interval_inverts_the_test(luck):
    found = spread(VALUES, luck)
    for level in (0.05, 0.4):
        assert found.p(found.half(level)) == pytest.approx(level, rel=1e-6)
    assert found.p(0.0) == pytest.approx(1.0)


def coverage(times, freedom, luck, within):
    """How often the interval of a mean holds the truth, the variance of tasks being 1 and known."""
    rng = np.random.default_rng(1)
    values = np.tile([1.0, -1.0], 1000)
    values *= np.sqrt(len(values) / values.var(ddof=1))
    total = (luck + within) * rng.chisquare(freedom, times) / freedom
    error = np.abs(rng.normal(0, np.sqrt(1 + luck), times))
    return np.mean(
        [spread(values, Luck(a, within, freedom, 3)).p(e) >= 0.05 for a, e in zip(total, error, strict=True)]
    )


def test_intervals_of_three_trainings_cover():
    """1,000 intervals, luck and tasks varying alike: a standard error of 0.7 points."""
    assert 0.93 <= coverage(1000, 2, 1.0, 0.1) <= 0.975


@pytest.mark.slow
@pytest.mark.parametrize("freedom", [1, 2, 4, 8])
@pytest.mark.parametrize("within", [0.03, 0.3])
@pytest.mark.parametrize("luck", [0.0, 0.3, 1.0, 3.0, 30.0])
def test_coverage_whatever_the_luck(freedom, within, luck):
    """10,000 intervals: a standard error of 0.2 points."""
    assert 0.935 <= coverage(10_000, freedom, luck, within) <= 0.968
