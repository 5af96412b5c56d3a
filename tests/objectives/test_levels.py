"""Distributions over levels: of a normal, of an ordinal score."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.optimize import brentq
from scipy.special import expit
from scipy.stats import norm

from recmeta.objectives.levels import exceedance, mean_level, nearest_level, of_normal
from recmeta.objectives.ordinal import ordinal
from recmeta.types import DataSpec, UserError

LEVELS = (1.0, 2.0, 3.0, 4.0, 5.0)
SPEC = DataSpec(
    context=(), row=(), low=1, high=5, mean=3.5, like=4, levels=LEVELS, support=5, query=3, rows=100,
    shares=(0.06, 0.1, 0.26, 0.35, 0.23),
)  # fmt: skip


def test_a_normal_is_rounded_to_levels():
    """Each level has what lies nearest to it, of unevenly spaced ones too."""
    levels, mean, variance = (0.0, 1.0, 4.0), np.array([0.3, 5.0]), np.array([0.5, 2.0])
    cuts = norm.cdf((np.array([[0.5, 2.5]]) - mean[:, None]) / np.sqrt(variance)[:, None])
    shares = np.stack([cuts[:, 0], cuts[:, 1] - cuts[:, 0], 1 - cuts[:, 1]], axis=1)
    found = np.exp(of_normal(jnp.asarray(mean), jnp.asarray(variance), levels))
    np.testing.assert_allclose(found, shares, atol=3e-6)
    np.testing.assert_allclose(mean_level(jnp.log(shares), levels), shares @ np.array(levels), rtol=1e-5)
    np.testing.assert_allclose(exceedance(jnp.log(shares)), 1 - cuts, atol=1e-6)


def test_far_from_all_levels_it_stays_finite():
    found = of_normal(jnp.array([1e4, -1e4]), jnp.array([1e-4, 1e-4]), LEVELS)
    assert np.isfinite(found).all()
    assert np.argmax(found, axis=1).tolist() == [4, 0]


def test_labels_between_levels_are_the_nearest_ones():
    assert nearest_level(jnp.array([0.2, 2.4, 2.6, 9.0]), LEVELS).argmax(1).tolist() == [0, 1, 2, 4]


def test_ordinal_is_the_proportional_odds_model():
    """In double precision: differences of logistic distribution functions at thresholds that have the shares."""
    explained, score = 0.4, np.array([-40.0, -2.0, 0.0, 0.7, 40.0])
    with jax.enable_x64():
        objective = ordinal(spec=SPEC, explained=explained)
        found = np.exp(objective.distribution(jnp.asarray(score)))
        above = 1 - np.cumsum(SPEC.shares)[:-1]
        thresholds = np.log((1 - above) / above) / np.sqrt(1 - explained)
        passed = expit(score[:, None] - thresholds)
        expected = -np.diff(np.concatenate([np.ones((5, 1)), passed, np.zeros((5, 1))], axis=1), axis=1)
        np.testing.assert_allclose(found, expected, atol=1e-7)
        label, where = jnp.array([5.0, 1.0, 3.0, 4.0, 2.0]), jnp.array([False, True, True, True, False])
        lost = -np.log(expected[[1, 2, 3], [0, 2, 3]]).mean()
        np.testing.assert_allclose(objective.loss(jnp.asarray(score), label, where), lost, rtol=1e-5)
        slope = jax.grad(lambda score: objective.loss(score, label, where))(jnp.asarray(score))
        assert np.isfinite(slope).all()
        np.testing.assert_allclose(objective.predict(jnp.asarray(score)), expected @ np.array(LEVELS), rtol=1e-6)


def test_with_nothing_explained_a_score_of_zero_has_the_shares_of_meta_train():
    found = ordinal(spec=SPEC, explained=0.0).distribution(jnp.zeros(1))
    np.testing.assert_allclose(np.exp(found[0]), SPEC.shares, rtol=1e-4)


def test_the_link_of_a_label_is_the_score_that_predicts_it():
    objective = ordinal(spec=SPEC, explained=0.3)
    label = jnp.array([1.2, 2.0, 3.5, 4.7])
    np.testing.assert_allclose(objective.predict(objective.link(label)), label, atol=2e-3)
    exact = brentq(lambda score: float(objective.predict(jnp.array(score))) - 3.5, -10, 10)
    np.testing.assert_allclose(objective.link(jnp.array(3.5)), exact, atol=2e-3)
    ends = objective.link(jnp.array([0.0, 1.0, 1.001, 4.999, 5.0, 9.0]))
    assert np.isfinite(ends).all()
    assert (np.diff(ends) > 0).all()  # what is beyond an end keeps its order
    slope = jax.vmap(jax.grad(objective.link))(jnp.array([-3.0, 0.5, 5.5, 9.0]))
    assert (slope > 0).all()
    assert slope[0] == slope[1]


@pytest.mark.parametrize("changed", [{"discrete": False}, {"levels": (1.0,), "shares": (1.0,)}])
def test_labels_of_many_levels_are_refused(changed):
    with pytest.raises(UserError, match="objective=ordinal: it needs labels of a few levels"):
        ordinal(spec=DataSpec(**vars(SPEC) | changed), explained=0.3)
