"""Paired tests against scipy, enumeration and simulation."""

from itertools import product

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.power import TTestPower

from recmeta.statistics import LEVEL, TESTS, paired

NAN = float("nan")


def test_t_is_scipy():
    rng = np.random.default_rng(5)
    model, baseline = rng.normal(0, 1, 30), rng.normal(0.4, 1, 30)
    found, oracle = paired(np.append(model - baseline, NAN)), stats.ttest_rel(model, baseline)
    interval = oracle.confidence_interval(0.95)
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-9)
    assert (found.lo, found.hi) == pytest.approx((interval.low, interval.high), rel=1e-9)
    assert found.n == 30
    assert found.difference == pytest.approx((model - baseline).mean())
    assert found.effect_size == pytest.approx(oracle.statistic / np.sqrt(30), rel=1e-9)


@pytest.mark.parametrize("n", [8, 30, 80])
@pytest.mark.parametrize("tied", [False, True])
def test_wilcoxon_is_scipy(n, tied):
    difference = np.random.default_rng(n).standard_t(2, n) + 0.3
    difference = np.round(difference, 1 if tied else 12)
    if tied:
        difference[:3] = 0
    oracle = stats.wilcoxon(difference, zero_method="zsplit", method="approx" if tied else "auto")
    found = paired(difference, "wilcoxon")
    assert found.p == pytest.approx(oracle.pvalue, rel=1e-9)
    walsh = np.add.outer(difference, difference)[np.triu_indices(n)] / 2
    assert found.difference == pytest.approx(np.median(walsh), abs=1e-9)


def test_the_interval_of_wilcoxon_is_of_walsh_averages():
    """The textbook's: the k-th smallest and largest mean of a pair, k from the exact distribution."""
    difference = np.random.default_rng(3).normal(0.5, 1, 12)
    walsh = np.sort(np.add.outer(difference, difference)[np.triu_indices(12)] / 2)
    signed = [sum(rank for rank, sign in zip(range(1, 13), signs, strict=True) if sign)
              for signs in product([0, 1], repeat=12)]  # fmt: skip
    k = next(k for k in range(78) if 2 * np.mean(np.array(signed) <= k) >= LEVEL)
    found = paired(difference, "wilcoxon")
    assert (found.lo, found.hi) == pytest.approx((walsh[k - 1], walsh[-k]), abs=1e-9)


def test_permutation_is_enumeration():
    difference = np.random.default_rng(4).normal(0.7, 1, 10)
    signs = np.array(list(product([-1, 1], repeat=10)))

    def p(shift):
        moved = difference - shift
        return (np.abs(signs @ moved) >= abs(moved.sum()) * (1 - 1e-12)).mean()

    found = paired(difference, "permutation")
    assert found.p == p(0)
    oracle = stats.permutation_test((difference,), np.mean, permutation_type="samples", n_resamples=np.inf)
    assert found.p == pytest.approx(oracle.pvalue)
    for end, outwards in ((found.lo, -1), (found.hi, 1)):
        assert p(end - outwards * 1e-6) >= LEVEL > p(end + outwards * 1e-6)


def test_permutation_of_many_is_about_t():
    difference = np.random.default_rng(5).normal(0.15, 1, 200)
    drawn, t = paired(difference, "permutation"), paired(difference)
    assert drawn.p == pytest.approx(t.p, abs=0.01)
    assert (drawn.lo, drawn.hi) == pytest.approx((t.lo, t.hi), abs=0.02)
    assert paired(difference, "permutation") == drawn


@pytest.mark.parametrize("test", TESTS)
def test_level_and_coverage(test):
    """Without a difference, a test rejects 5 % of the time: its interval misses it exactly then."""
    rng, times = np.random.default_rng(6), 200
    found = [paired(rng.normal(0, 1, 16), test) for _ in range(times)]
    missed = np.mean([one.lo > 0 or one.hi < 0 for one in found])
    assert missed == np.mean([one.p < LEVEL for one in found])
    assert missed == pytest.approx(0.05, abs=0.04)
    assert np.mean([one.lo <= 3 <= one.hi for one in (paired(rng.normal(3, 1, 16), test) for _ in range(60))]) > 0.85


@pytest.mark.parametrize("test", TESTS)
def test_mirrored_and_scaled(test):
    difference = np.random.default_rng(7).normal(0.4, 1, 12)
    found, other = paired(difference, test), paired(-2 * difference, test)
    assert (other.lo, other.hi) == pytest.approx((-2 * found.hi, -2 * found.lo))
    assert (other.p, other.effect_size) == pytest.approx((found.p, -found.effect_size))


def test_detectable_is_found_with_eighty_percent():
    difference = np.random.default_rng(6).normal(0, 1, 25)
    found = paired(difference)
    power = TTestPower().power(found.detectable / difference.std(ddof=1), 25, LEVEL)
    assert power == pytest.approx(0.8, abs=0.01)


@pytest.mark.parametrize("test", TESTS)
def test_without_spread_or_units(test):
    same, one, none = (paired(np.array(d, float), test) for d in ([0, 0, 0], [0.4], [NAN]))
    assert (same.p, same.difference, same.effect_size, same.n, same.lo, same.hi) == (1.0, 0.0, 0.0, 3, 0.0, 0.0)
    assert (one.p, one.n, one.difference) == (1.0, 1, 0.4)
    assert np.isnan(one.lo)
    assert (none.p, none.n) == (1.0, 0)
    offset = paired(np.array([0.1 + 0.2, 0.3, 0.3]), test)
    assert offset.effect_size == np.inf
    if test == "t":
        assert (offset.p, offset.lo, offset.hi) == (0.0, offset.difference, offset.difference)
    else:  # three signs can say no more
        assert offset.p >= 0.08
        assert (offset.lo, offset.hi) == (-np.inf, np.inf)
