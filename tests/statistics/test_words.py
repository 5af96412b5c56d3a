"""Numbers and comparisons in words."""

import numpy as np
import pytest

from recmeta.statistics import LEVEL, TESTS, best_of, number, paired, wording

NAN = float("nan")


def test_words():
    assert best_of({"a": 2.0, "b": 2.0, "c": NAN}, "max") == "a"
    assert best_of({"c": NAN}, "max") is None
    assert [number(x) for x in (-0.0042, 0.00005, 0.0, NAN)] == ["\N{MINUS SIGN}0.004", "5e-05", "0.000", "-"]
    assert [number(x) for x in (float("inf"), -float("inf"))] == ["∞", "\N{MINUS SIGN}∞"]
    comparison = paired(np.random.default_rng(12).normal(-1, 1, 30))
    assert "p < 0.001, p = 0.012 by Holm over 3): better" in wording(comparison, "x", "mae", "min", 0.012, 3)
    assert "by Benjamini-Hochberg over 3" in wording(comparison, "x", "mae", "min", 0.2, 3, "Benjamini-Hochberg")


def test_what_a_comparison_is_over_is_said():
    comparison = paired(np.random.default_rng(12).normal(-1, 1, 30))
    over = [comparison._replace(trainings=3), comparison._replace(trainings=3, lone=True), comparison]
    three, lone, one = (wording(each, "x", "mae", "min") for each in over)
    assert "over tasks and 3 trainings, p < 0.001" in three
    assert "over tasks and 3 trainings, given the other's single one, p < 0.001" in lone
    assert "of this training, p < 0.001" in one


def test_an_apposition_has_the_commas_that_it_needs():
    apart, alike = np.array([0.4, 0.5, 0.6]), np.array([-0.4, 0.1, 0.5])
    said = lambda difference: wording(paired(difference), "x, the best baseline", "mae", "min")  # noqa: E731
    assert said(apart).startswith("above x, the best baseline, by 0.5")
    assert said(alike).startswith("not distinguishable from x, the best baseline (difference")
    assert said(apart[:1]).startswith("not compared with x, the best baseline: ")


def test_a_test_of_one_task_is_none():
    one = paired(np.array([0.4]))
    assert "a test needs two tasks in common, there is 1" in wording(one, "item_mean", "mae", "min")


@pytest.mark.parametrize("test", TESTS)
def test_the_verdict_its_p_and_its_interval_never_disagree(test):
    """On the boundary, where they would: differences moved until p is close to 0.05, some of them ties and zeros."""
    rng = np.random.default_rng(0)
    for case in range(30):
        n = int(rng.integers(6, 40))
        difference = rng.standard_t(3, n)
        if case % 3 == 0:
            difference = np.round(difference, 1)
        target = rng.uniform(0.03, 0.07)
        low, high = difference.mean(), difference.mean() + 10
        for _ in range(12):  # to where p is about that
            middle = (low + high) / 2
            low, high = (middle, high) if paired(difference - middle, test).p > target else (low, middle)
        found = paired(difference - np.round(high, 1 if case % 3 == 0 else 9), test)
        said = wording(found, "x", "mae", "min")
        apart = found.lo > 0 or found.hi < 0
        assert (found.p < LEVEL) == apart == ("not distinguishable" not in said), (case, found)
        assert found.lo <= found.difference <= found.hi
        if apart:
            assert ("better" in said) == (found.difference < 0)


@pytest.mark.parametrize("p", [0.0499999, 0.05, 0.0500001])
def test_a_printed_p_is_on_the_side_of_the_level_that_it_is_on(p):
    comparison = paired(np.random.default_rng(1).normal(1, 1, 30))._replace(p=p)
    said = wording(comparison, "x", "mae", "min")
    printed = float(said.partition("p = ")[2].partition(")")[0].partition(";")[0])
    assert (printed < LEVEL) == (p < LEVEL) == ("not distinguishable" not in said)
