"""Ranks over data sets against scikit-posthocs and published numbers."""

import numpy as np
import pytest
import scikit_posthocs
from scipy import stats

from recmeta.statistics import rank


def test_ranks_are_scikit_posthocs():
    values = np.random.default_rng(0).normal(0, 1, (12, 5)) + np.linspace(0, 2, 5)
    found = rank(values, "min")
    np.testing.assert_allclose(found.ranks, stats.rankdata(values, axis=1).mean(axis=0))
    assert found.p == pytest.approx(stats.friedmanchisquare(*values.T).pvalue)
    oracle = scikit_posthocs.posthoc_nemenyi_friedman(values).to_numpy()
    np.testing.assert_allclose(found.pairs, oracle, atol=1e-6)
    np.testing.assert_allclose(rank(-values, "max").ranks, found.ranks)


@pytest.mark.parametrize(
    ("methods", "q"), [(2, 1.960), (3, 2.343), (4, 2.569), (5, 2.728), (6, 2.850), (7, 2.949), (10, 3.164)]
)
def test_the_critical_distance_is_of_the_published_table(methods, q):
    """Table 5a of Demšar 2006."""
    values = np.random.default_rng(1).random((14, methods))
    unit = np.sqrt(methods * (methods + 1) / (6 * 14))
    assert rank(values, "min").distance / unit == pytest.approx(q, abs=0.0015)


def test_ties_and_few_methods():
    found = rank(np.array([[1.0, 1.0, 3.0], [2.0, 1.0, 3.0]]), "min")
    assert found.ranks.tolist() == [1.75, 1.25, 3.0]
    assert np.isnan(rank(np.array([[1.0, 2.0], [1.0, 2.0]]), "min").p)
    alike = rank(np.ones((3, 4)), "min")
    assert (alike.p, alike.ranks.tolist()) == (1.0, [2.5] * 4)
