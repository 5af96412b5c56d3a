"""Maps from predictions to medians and means: against brute force, and where the best possible error is known."""

from dataclasses import replace
from itertools import combinations_with_replacement

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import linprog

from recmeta.evaluation.calibration import (
    MOST_SEGMENTS,
    ROWS_PER_SEGMENT,
    Calibration,
    Curve,
    calibrate,
    calibrated,
    identity,
    monotone_level,
    monotone_mean,
    monotone_median,
    report,
)
from recmeta.evaluation.score import Predictions

STARS = np.arange(1.0, 6)


def read(curve, values):
    return np.interp(np.float32(values), np.float32(curve.at), np.float32(curve.to))


@pytest.mark.parametrize("seed", range(5))
def test_no_monotone_choice_of_levels_errs_less(seed):
    """All ways to predict ascending levels for nine rows, two of which tie."""
    rng = np.random.default_rng(seed)
    predicted = np.sort(rng.normal(3, 1, 9))
    predicted[4] = predicted[3]
    label = np.clip(np.round(predicted + rng.normal(0, 1, 9)), 1, 3)
    levels = np.array([1.0, 2, 3])
    got = read(monotone_level(predicted, label, levels), predicted)
    assert got[3] == got[4]
    every = [np.array(way) for way in combinations_with_replacement(levels, 9) if way[3] == way[4]]
    assert np.abs(got - label).sum() == min(np.abs(way - label).sum() for way in every)
    assert (np.diff(got) >= 0).all()


def test_of_few_rows_the_mean_is_a_line_and_of_many_a_curve():
    rng = np.random.default_rng(0)
    predicted = rng.uniform(1, 5, 400)
    label = 2 + 0.5 * predicted + rng.normal(0, 0.1, 400)
    curve = monotone_mean(predicted, label, 1, 5)
    assert len(curve.at) == 2
    slope, start = np.polyfit(predicted, label, 1)
    np.testing.assert_allclose(curve.to, start + slope * curve.at, rtol=1e-6)
    many = rng.uniform(1, 5, MOST_SEGMENTS * ROWS_PER_SEGMENT)
    bent = monotone_mean(many, np.where(many < 3, 2.0, 4.0), 1, 5)
    assert len(bent.at) == MOST_SEGMENTS + 1
    assert abs(read(bent, 2.0) - 2) < 0.1 > abs(read(bent, 4.0) - 4)


def test_a_score_that_ranks_the_wrong_way_round_says_nothing():
    predicted = np.linspace(1, 5, 100)
    curve = monotone_mean(predicted, 6 - predicted, 1, 5)
    np.testing.assert_allclose(curve.to, 3.0)


def test_the_median_of_a_continuum_has_the_least_absolute_error():
    """Against the linear program of one segment."""
    rng = np.random.default_rng(1)
    predicted = rng.uniform(0, 1, 120)
    label = predicted + rng.exponential(1.0, 120)
    curve = monotone_median(predicted, label, -10, 10)
    error = np.abs(label - read(curve, predicted)).sum()
    rows = np.stack([np.ones(120), predicted], axis=1)
    equal = np.hstack([rows, np.eye(120), -np.eye(120)])
    best = linprog(
        np.r_[0, 0, np.ones(240)], A_eq=equal, b_eq=label, bounds=[(None, None), (0, None)] + [(0, None)] * 240
    )
    assert error == pytest.approx(best.fun, rel=2e-3)


@pytest.fixture(scope="module")
def world(problem):
    """Stars given a known taste: for 2,000 tasks the exact mean and median of every query row."""
    rng = np.random.default_rng(0)

    def batch(tasks):
        taste = rng.normal(0, 1, (tasks, 8))
        cuts = np.array([-2.0, -1.2, -0.2, 0.9])
        above = 1 / (1 + np.exp(-2 * (taste[..., None] - cuts)))
        label = 1.0 + (rng.random((tasks, 8, 1)) < above).sum(-1)
        # One draw for all cuts would be an ordinal label; independent ones are a sum, of which the mean is known.
        mean = 1 + above.sum(-1)
        old = problem.validation
        query = old.task.query._replace(mask=jnp.ones((tasks, 8), bool))
        return taste, mean, old._replace(task=old.task._replace(query=query), label=jnp.asarray(label, jnp.float32))

    return batch(2000), batch(4000)


def errors(maps, predicted, batch):
    predictions = Predictions(jnp.asarray(predicted)[None], jnp.asarray(np.clip(predicted, 1, 5))[None])
    found = calibrated(maps, predictions)
    label = np.asarray(batch.label)
    wrong = np.asarray(found.label)[0] - label
    return np.abs(np.asarray(found.median)[0] - label).mean(), np.sqrt((wrong**2).mean())


def test_no_point_of_the_same_distribution_wins(world, problem):
    """Mean, rounded mean, and a skewed function of both: after the maps all are alike, and as good as can be."""
    (_, mean, validation), (taste, test_mean, test) = world
    label = np.asarray(test.label)
    # The best median given the taste, from many labels of about the same taste.
    order = np.argsort(taste.ravel())
    parts = np.array_split(label.ravel()[order], 160)
    best = np.concatenate([np.abs(part - np.median(part)) for part in parts]).mean()
    floor = np.sqrt(((test_mean - label) ** 2).mean())

    def found(change):
        predicted = np.float32(change(mean))[None]
        maps = calibrate(Predictions(predicted, predicted), validation, problem.spec)
        return errors(maps, np.float32(change(test_mean)), test)

    raw = np.abs(test_mean - label).mean(), np.abs(np.round(test_mean) - label).mean()
    assert raw[1] < 0.97 * raw[0]  # rounding alone would have won
    for change in (lambda x: x, lambda x: 1 + (x - 1) ** 2 / 4, lambda x: x * 0.5 + 2):
        mae, rmse = found(change)
        assert mae == pytest.approx(best, rel=0.012)
        assert mae < raw[1] * 1.003
        assert rmse == pytest.approx(floor, rel=0.01)


def test_identity_clips_and_no_more(problem):
    curve = identity(problem.spec)
    low, high = problem.spec.low, problem.spec.high
    maps = Calibration(*[Curve(np.float32(curve.at)[None], np.float32(curve.to)[None])] * 2)
    label = jnp.array([[[low - 1, low, 2.5, high, high + 1, jnp.nan]]])
    found = calibrated(maps, Predictions(label, label))
    np.testing.assert_allclose(found.label[0, 0], [low, low, 2.5, high, high, np.nan], rtol=1e-6)
    np.testing.assert_array_equal(found.label, found.median)


def test_rows_without_a_number_are_left_out(problem):
    batch = problem.validation
    label = np.asarray(batch.label)[None].copy()
    whole = calibrate(Predictions(label, label), batch, problem.spec)
    holed = label.copy()
    holed[0, 0] = np.nan
    np.testing.assert_allclose(calibrate(Predictions(holed, holed), batch, problem.spec).median.to, whole.median.to)
    nothing = np.full_like(label, np.nan)
    kept = calibrate(Predictions(nothing, nothing), batch, problem.spec)
    assert report(kept, (20,))["median"] == {"at": [[1.0, 5.0]], "to": [[1.0, 5.0]]}


def test_a_report_has_the_knots_that_matter(problem):
    batch = problem.validation
    label = np.asarray(batch.label)[None]
    maps = calibrate(Predictions(label, label), batch, problem.spec)
    found = report(maps, (20,))
    assert found["shots"] == [20]
    assert found["median"]["to"][0][0] == label.min()
    assert found["median"]["to"][0][-1] == label.max()
    assert sorted(found["median"]["at"][0]) == found["median"]["at"][0]


# --- of methods that predict a distribution -----------------------------------------------------------------------


def drawn(rng, power, rows=6000):
    """Distributions over five levels, labels drawn from them, and what a method predicts: their ``power``."""
    true = rng.dirichlet(np.full(5, 0.7), size=rows)
    label = 1.0 + (rng.random((rows, 1)) > true.cumsum(1)).sum(1)
    predicted = np.log(true**power / (true**power).sum(1, keepdims=True))
    return true, label, predicted


def predicted_batch(problem, label, log_shares):
    """One task of all rows, at one support size."""
    batch = problem.validation
    mask = np.ones((1, len(label)), bool)
    task = batch.task._replace(query=batch.task.query._replace(mask=mask))
    shares = np.float32(log_shares)[None, None]
    mean = np.exp(shares) @ np.arange(1, 6)
    return Predictions(mean, mean, log_shares=shares), batch._replace(task=task, label=label[None])


def test_absolute_error_reads_the_median_of_the_distribution(problem):
    """Of labels drawn from what is predicted, no monotone map of the mean comes near it; thresholds are a half."""
    true, label, predicted = drawn(np.random.default_rng(0), 1.0)
    predictions, batch = predicted_batch(problem, label, predicted)
    maps = calibrate(predictions, batch, replace(problem.spec, levels=(1.0, 2.0, 3.0, 4.0, 5.0)))
    np.testing.assert_allclose(maps.thresholds.above[0], 0.5, atol=0.06)
    median = 1.0 + (true.cumsum(1) < 0.5).sum(1)
    read = np.asarray(calibrated(maps, predictions).median)[0, 0]
    error, best = np.abs(read - label).mean(), np.abs(median - label).mean()
    assert error < best + 0.005
    without = calibrated(maps._replace(thresholds=None), predictions).median[0, 0]
    assert np.abs(without - label).mean() > best + 0.03


def test_thresholds_make_up_for_a_distribution_that_is_off(problem):
    """One that has every level too low by the same odds: read at a half it loses, at fitted thresholds it does not."""
    _, label, predicted = drawn(np.random.default_rng(1), 1.0)
    tilted = predicted - 0.8 * np.arange(5)
    tilted -= np.log(np.exp(tilted).sum(1, keepdims=True))
    predictions, batch = predicted_batch(problem, label, tilted)
    maps = calibrate(predictions, batch, replace(problem.spec, levels=(1.0, 2.0, 3.0, 4.0, 5.0)))
    at_half = 1.0 + (np.exp(tilted).cumsum(1) < 0.5).sum(1)
    read = np.asarray(calibrated(maps, predictions).median)[0, 0]
    assert np.abs(read - label).mean() < np.abs(at_half - label).mean() - 0.02


@pytest.mark.parametrize("power", [0.5, 2.0])
def test_the_likelihood_is_that_of_the_sharpness_that_labels_have(problem, power):
    true, label, predicted = drawn(np.random.default_rng(2), power)
    predictions, batch = predicted_batch(problem, label, predicted)
    maps = calibrate(predictions, batch, replace(problem.spec, levels=(1.0, 2.0, 3.0, 4.0, 5.0)))
    np.testing.assert_allclose(maps.sharpness, 1 / power, rtol=0.1)
    found = np.exp(calibrated(maps, predictions).log_shares[0, 0])
    np.testing.assert_allclose(found, true, atol=0.05)
    assert report(maps, (5,))["sharpness"] == pytest.approx([1 / power], rel=0.1)


def test_the_median_of_a_number_is_read_as_before(problem):
    """A method without a distribution has no thresholds."""
    _, label, predicted = drawn(np.random.default_rng(3), 1.0, rows=500)
    predictions, batch = predicted_batch(problem, label, predicted)
    maps = calibrate(predictions._replace(log_shares=None), batch, problem.spec)
    assert maps.thresholds is maps.sharpness is None
