"""The blend: weights against scipy, its sum against its members, and what it is given."""

import jax
import numpy as np
import pytest
from scipy.optimize import lsq_linear

from recmeta.baselines.blend import CONSTANT, blend, combined, weigh
from recmeta.baselines.panel import BASELINES
from recmeta.baselines.tuning import predict_baselines, tune_baselines
from recmeta.config.parts import make_baselines
from recmeta.metrics import metric
from recmeta.types import UserError

MEMBERS = ("user_item_bias", "item_mean", "content_ridge")
METRICS = [metric("mae"), metric("rmse"), metric("auc")]


def test_weights_are_the_least_squares_that_are_not_negative():
    rng = np.random.default_rng(0)
    label, mask = rng.normal(3, 1, (30, 4)), rng.random((30, 4)) < 0.8
    good, bad = label + rng.normal(0, 0.5, (2, 30, 4)), rng.normal(0, 1, (1, 30, 4)) - label
    predicted = np.concatenate([good, bad])[:, None]
    weights, constant = weigh(predicted, label, mask)
    columns = np.concatenate([predicted[:, 0, mask], np.ones((1, mask.sum()))]).T
    expected = lsq_linear(columns, label[mask], ([0, 0, 0, -np.inf], np.inf)).x
    np.testing.assert_allclose(np.append(weights[0], constant), expected, atol=1e-6)
    assert weights[0, 2] == 0
    assert (weights[0, :2] > 0.2).all()


@pytest.fixture(scope="module")
def tuned(problem):
    panel = {name: BASELINES[name] for name in MEMBERS} | {"popularity": BASELINES["popularity"]}
    return tune_baselines({"blend": blend} | panel, problem, METRICS, METRICS[0])


def test_it_is_the_weighted_sum_of_its_members(problem, tuned):
    assert list(tuned) == ["blend", *MEMBERS, "popularity"]
    predictions = predict_baselines(tuned, problem, jax.random.key(0), problem.test["user_cold"])
    settings = tuned["blend"].settings
    assert {name for name in settings if "." not in name} == {CONSTANT, *MEMBERS}
    total = sum(settings[name][:, None, None] * np.asarray(predictions[name].score) for name in MEMBERS)
    np.testing.assert_allclose(predictions["blend"].score, settings[CONSTANT][:, None, None] + total, rtol=1e-5)


def test_on_meta_validation_it_has_no_larger_squared_error_than_a_member(problem, tuned):
    predictions = predict_baselines(tuned, problem, jax.random.key(0), problem.validation)
    wrong = {name: np.asarray(predictions[name].score) - np.asarray(problem.validation.label) for name in tuned}
    squares = {name: (values**2).mean((1, 2)) for name, values in wrong.items()}
    for name in MEMBERS:
        assert (squares["blend"] <= squares[name] + 1e-6).all()


def test_every_baseline_says_what_it_reached_on_meta_validation(problem, tuned):
    for name, each in tuned.items():
        assert set(each.validated) == {"mae", "rmse", "auc"}
        assert all(values.shape == (len(problem.shots),) for values in each.validated.values())
        assert (each.calibration is None) == (name == "popularity")
    assert np.isnan(tuned["popularity"].validated["mae"]).all()
    assert (tuned["popularity"].validated["auc"] > 0.4).all()


def test_labels_of_test_tasks_move_no_map_no_weight_and_no_rival(problem, tuned):
    """The leak test of everything that is fitted after training."""
    label = problem.test["user_cold"].label
    turned = problem.test["user_cold"]._replace(label=label[::-1, ::-1])
    other = problem._replace(test={"user_cold": turned})
    again = tune_baselines(
        {name: BASELINES.get(name, blend) for name in ("blend", *MEMBERS)}, other, METRICS, METRICS[0]
    )
    for name in ("blend", *MEMBERS):
        jax.tree.map(np.testing.assert_array_equal, tuned[name].calibration, again[name].calibration)
        np.testing.assert_array_equal(tuned[name].validated["mae"], again[name].validated["mae"])
        jax.tree.map(np.testing.assert_array_equal, dict(tuned[name].settings), dict(again[name].settings))


def test_raw_predictions_have_no_map(problem):
    found = tune_baselines({"item_mean": BASELINES["item_mean"]}, problem, METRICS, METRICS[0], calibrates=False)
    assert found["item_mean"].calibration is None


def test_it_needs_others_that_predict_labels():
    with pytest.raises(UserError, match="blend combines others that predict labels"):
        make_baselines(["blend", "popularity"])
    assert list(make_baselines(["blend", "item_mean"])) == ["blend", "item_mean"]
    with pytest.raises(UserError, match="fitted with them"):
        combined({}).fit(None)
