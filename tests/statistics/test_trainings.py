"""Intervals and verdicts over tasks and trainings: closed forms, and their error rates by simulation."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from recmeta.statistics import all_pairs, mean_interval, paired
from recmeta.statistics.spread import NO_LUCK
from recmeta.statistics.trainings import (
    Block,
    blocks,
    interval_of,
    luck_of_difference,
    luck_of_seeds,
    luck_of_splits,
    shares,
)


def test_of_one_training_the_interval_is_students():
    values = np.random.default_rng(0).normal(2, 1, 30)
    mean, lo, hi = interval_of([Block(np.arange(30), values[None])])
    half = stats.t.ppf(0.975, 29) * values.std(ddof=1) / np.sqrt(30)
    assert (mean, lo, hi) == pytest.approx((values.mean(), values.mean() - half, values.mean() + half))


def test_the_luck_of_seeds_is_that_of_the_analysis_of_variance():
    values = np.random.default_rng(1).normal(size=(3, 20)) + np.array([[-1.0], [0], [1]])
    found = luck_of_seeds([Block(np.arange(20), values)], np.ones(1))
    rest = values - values.mean(1, keepdims=True) - values.mean(0) + values.mean()
    seeds, within = values.mean(1).var(ddof=1), (rest**2).sum() / 38 / 20
    assert found[:4] == pytest.approx((seeds / 3, within / 3, 2, 3))
    assert luck_of_seeds([Block(np.arange(20), values[:1])], np.ones(1)) == NO_LUCK


def test_seeds_that_agree_widen_no_interval():
    values = np.random.default_rng(2).normal(size=(1, 20)) + np.zeros((4, 1))
    assert interval_of([Block(np.arange(20), values)]) == pytest.approx(interval_of([Block(np.arange(20), values[:1])]))


def test_splits_that_differ_more_than_their_tasks_explain_are_luck():
    rng = np.random.default_rng(3)
    values = [rng.normal(shift, 1, 50) for shift in (-2, 0, 2)]
    found = luck_of_splits(values, np.full(3, 1 / 3))
    between = np.var([each.mean() for each in values], ddof=1)
    assert found.total == pytest.approx(between / 3)
    assert found.within == pytest.approx(np.mean([each.var(ddof=1) / 50 for each in values]) / 3)
    assert found.cautious
    assert luck_of_splits(values[:1], np.ones(1)) == NO_LUCK


def test_a_task_in_two_splits_counts_once():
    tasks = [np.array(["a", "b"]), np.array(["b", "c"])]
    np.testing.assert_allclose(shares(tasks), [0.5, 0.5])
    np.testing.assert_allclose(shares([tasks[0], np.array(["b"])]), [0.75, 0.25])
    some = [Block(tasks[0], np.array([[1.0, 2]])), Block(tasks[1], np.array([[4.0, 6]]))]
    assert interval_of(some)[0] == pytest.approx((1 + 3 + 6) / 3)


def test_blocks_are_read_from_a_frame(scores):
    assert [blocks(scores("m", [[1, 2]], seeds), "mae")[0].seeded for seeds in ((0,), (None,))] == [True, False]
    frame = pl.concat([scores("m", [[1, 2], [3, 4]], (0, 1), split="x"), scores("m", [[5, np.nan]], (0,), split="y")])
    first, second = blocks(frame, "mae", ("split",))
    np.testing.assert_array_equal(first.values, [[1, 2], [3, 4]])
    assert (second.task.tolist(), second.values.tolist()) == (["u0"], [[5.0]])
    assert np.isnan(mean_interval(frame.clear(), "mae", ("split",))).all()
    assert np.isnan(mean_interval(frame.filter(split="y"), "mae")[1:]).all()


def test_splits_of_one_method_alone_are_left_out():
    one = [Block(np.arange(5), np.arange(5.0)[None], (split,)) for split in "ab"]
    assert luck_of_difference(one, one[:1]).trainings == 1
    assert luck_of_difference(one, one) == NO_LUCK._replace(trainings=2)


def test_the_luck_of_a_difference_is_that_of_both_methods():
    rng = np.random.default_rng(4)
    left, right = ([Block(np.arange(20), rng.normal(size=(seeds, 20)), seeded=True)] for seeds in (3, 5))
    found = luck_of_difference(left, right)
    own, others = (luck_of_seeds(side, np.ones(1)) for side in (left, right))
    assert found.total == pytest.approx(own.total + others.total)
    assert found.within == pytest.approx(own.within + others.within)
    assert found.freedom == pytest.approx(found.total**2 / (own.total**2 / 2 + others.total**2 / 4))
    assert (found.trainings, found.lone) == (5, False)


def test_a_rival_with_seeds_but_a_single_training_is_said():
    values = np.random.default_rng(5).normal(size=(3, 20))
    several = [Block(np.arange(20), values, seeded=True)]
    single, baseline = ([Block(np.arange(20), values[:1], seeded=seeded)] for seeded in (True, False))
    assert luck_of_difference(several, single).lone
    assert luck_of_difference(single, several).lone
    assert not luck_of_difference(several, baseline).lone
    assert not luck_of_difference(single, single).lone


def test_equal_methods_picked_as_best_and_worst_have_tukeys_p():
    """Independent methods of one spread, for which the distribution of the range is known."""
    rng = np.random.default_rng(0)
    values = rng.normal(size=(8, 4000))
    p = all_pairs([0.05, 0.003, 1e-9], values)
    expected = stats.studentized_range.sf(stats.norm.isf(np.array([0.05, 0.003, 1e-9]) / 2) * np.sqrt(2), 8, np.inf)
    np.testing.assert_allclose(p, expected, atol=0.015)
    np.testing.assert_array_equal(all_pairs([0.3], np.ones((3, 10))), [0.3])


# --- by simulation ------------------------------------------------------------------------------------------------


def world(rng, methods, tasks, splits=1, seeds=1, of_training=0.0):
    """Errors ``[methods, splits, seeds, tasks]`` of equal methods, about as those of users of ML-100K at K = 20.

    What is a user's is the same for all methods; of a method and a user 0.08; of one training of one user 0.05.
    """
    user = rng.gamma(9, 0.75 / 9, (splits, 1, tasks))
    method = rng.normal(0, 0.08, (methods, splits, 1, tasks))
    trained = rng.normal(0, of_training, (methods, splits, seeds, 1))
    return user + method + trained + rng.normal(0, 0.05, (methods, splits, seeds, tasks))


def as_blocks(values):
    """Blocks of one method ``[splits, seeds, tasks]``, every split with users of its own."""
    tasks = values.shape[-1]
    return [Block(np.arange(split * tasks, (split + 1) * tasks), each, (split,)) for split, each in enumerate(values)]


def compared(left, right):
    difference = (left.mean(1) - right.mean(1)).ravel()
    return paired(difference, luck=luck_of_difference(as_blocks(left), as_blocks(right)))


def rates(times, tasks, splits=1, seeds=1, of_training=0.0, methods=14):
    """How often a learner is "better" and "worse" than an equal rival, and any row of the table lacks its mark."""
    rng, found = np.random.default_rng(5), []
    for _ in range(times):
        values = world(rng, methods + 1, tasks, splits, seeds, of_training)
        verdict = compared(values[0], values[1])  # the choice of the rival does not look at these tasks
        means = values.mean((1, 2, 3))
        best, worst = values[np.argmin(means)], values[np.argmax(means)]
        p = all_pairs([compared(worst, best).p], values.mean(2).reshape(methods + 1, -1))[0]
        found.append(
            (verdict.p < 0.05 and verdict.difference < 0, verdict.p < 0.05 and verdict.difference > 0, p < 0.05)
        )
    return np.mean(found, axis=0)


@pytest.mark.slow
def test_equal_methods_are_better_and_worse_at_their_nominal_rates():
    """250 tables of 74 tasks: standard errors of 1.0, 1.0 and 1.4 points."""
    better, worse, unmarked = rates(250, 74)
    assert max(better, worse) <= 0.06
    assert better + worse >= 0.015
    assert unmarked <= 0.09


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "splits", "seeds", "of_training"),
    [(74, 1, 1, 0.0), (1430, 1, 1, 0.0), (74, 1, 3, 0.01), (74, 3, 3, 0.01), (477, 3, 3, 0.0), (477, 3, 3, 0.005),
     (477, 3, 3, 0.01), (1430, 1, 3, 0.01)],
)  # fmt: skip
def test_error_rates(tasks, splits, seeds, of_training):
    """3,000 tables: standard errors of 0.3 points. With one training there is no luck to see, and none is simulated."""
    better, worse, unmarked = rates(3000, tasks, splits, seeds, of_training)
    assert 0.01 <= better <= 0.04
    assert 0.01 <= worse <= 0.04
    assert unmarked <= 0.065


def coverage(times, tasks, splits=1, seeds=1, of_training=0.0):
    """How often the interval of a method's mean holds the truth, 0.75."""
    rng = np.random.default_rng(6)
    drawn = (as_blocks(world(rng, 1, tasks, splits, seeds, of_training)[0]) for _ in range(times))
    return np.mean([lo <= 0.75 <= hi for _, lo, hi in map(interval_of, drawn)])


def test_intervals_of_few_tasks_cover():
    """500 intervals of ten tasks: a standard error of 1.0 points."""
    assert 0.92 <= coverage(500, 10) <= 0.98


@pytest.mark.slow
@pytest.mark.parametrize(
    ("tasks", "splits", "seeds", "of_training"),
    [
        (10, 1, 1, 0.0),
        (20, 1, 1, 0.0),
        (74, 1, 1, 0.0),
        (1430, 1, 1, 0.0),
        (74, 1, 3, 0.01),
        (1430, 1, 5, 0.025),
        (100, 1, 3, 0.08),
        (74, 1, 2, 0.025),
    ],
)
def test_coverage(tasks, splits, seeds, of_training):
    """5,000 intervals: a standard error of 0.3 points."""
    assert 0.935 <= coverage(5000, tasks, splits, seeds, of_training) <= 0.965
