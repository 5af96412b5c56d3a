"""Corrections against statsmodels, and by hand."""

import numpy as np
import pytest
from statsmodels.stats.multitest import multipletests

from recmeta.statistics import CORRECTIONS, benjamini_hochberg, holm

ORACLES = {"holm": "holm", "bh": "fdr_bh"}
FIXTURES = [
    [0.02, 0.021, 0.04],  # testing each by its own threshold, without stepping down, would accept two: Holm none
    [0.01, 0.04, 0.045],  # and without stepping up the first and the third: Benjamini and Hochberg all
    [0.04, 0.01, 0.03],
    [0.6, 0.5],
    [0.03],
    [0.05, 0.05, 0.05, 1.0, 0.0],
    *(np.random.default_rng(7).random((8, 8)) ** 4),
]


@pytest.mark.parametrize("name", ORACLES)
def test_corrections_are_statsmodels(name):
    for p in FIXTURES:
        reject, corrected, *_ = multipletests(p, 0.05, method=ORACLES[name])
        found = CORRECTIONS[name].correct(p)
        np.testing.assert_allclose(found, corrected, atol=1e-12)
        assert ((found <= 0.05) == reject).all()
        assert CORRECTIONS[name].correct([]).tolist() == []


def test_by_hand():
    assert holm([0.02, 0.021, 0.04]).tolist() == pytest.approx([0.06, 0.06, 0.06])
    assert benjamini_hochberg([0.01, 0.04, 0.045]).tolist() == pytest.approx([0.03, 0.045, 0.045])
    assert CORRECTIONS["none"].correct([0.01, 0.04]).tolist() == [0.01, 0.04]


def test_errors_of_many_true_hypotheses():
    """Holm keeps the chance of any false rejection, Benjamini and Hochberg's the share of false ones."""
    rng = np.random.default_rng(8)
    null, real = rng.random((2000, 8)), rng.random((2000, 8)) * 1e-3
    assert (np.array([holm(p) for p in null]) < 0.05).any(axis=1).mean() == pytest.approx(0.05, abs=0.015)
    rejected = np.array([benjamini_hochberg(p) for p in np.hstack([null, real])]) < 0.05
    share = rejected[:, :8].sum(axis=1) / np.maximum(rejected.sum(axis=1), 1)
    assert share.mean() == pytest.approx(0.025, abs=0.005)  # half are true: half the level
