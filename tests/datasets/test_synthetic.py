import math

import numpy as np
import pytest

from recmeta.datasets.synthetic import bayes_error, draw_world, expected_label, synthetic
from recmeta.types import UserError

NUMBERS = {
    "users": 400,
    "items": 60,
    "rank": 2,
    "mean": 8.0,
    "user_bias": 0.5,
    "item_bias": 0.5,
    "signal": 0.8,
    "noise": 0.5,
    "explained": 0.5,
    "seed": 3,
}


@pytest.fixture(scope="module")
def data():
    return synthetic()


def test_the_shape_is_as_stated(data):
    per_user = np.bincount(data.user)
    assert (len(per_user), per_user.min(), per_user.max()) == (1000, 40, 60)
    assert len(data.items.ids) == 200
    assert data.counts["duplicates"] == data.counts["users_without_features"] == 0
    assert {name: column.kind for name, column in data.users.features.items()} == {
        "age": "numeric",
        "group": "categorical",
    }
    assert {name: column.kind for name, column in data.items.features.items()} == {"genres": "multi", "year": "numeric"}


def test_labels_are_real_numbers_inside_a_symmetric_range(data):
    low, high = data.label_range
    assert (low + high) / 2 == data.like == 8.0
    assert low < data.label.min()
    assert data.label.max() < high
    assert len(np.unique(data.label)) > 0.99 * len(data.label)


def test_the_noise_is_what_is_left_of_the_label(data):
    world = draw_world(**{**NUMBERS, "users": 1000, "items": 200, "rank": 3, "seed": 0})
    left = data.label - expected_label(world, data.user, data.item)
    assert left.std() == pytest.approx(0.5, rel=0.01)
    assert np.abs(left).mean() == pytest.approx(data.attainable["mae"], rel=0.01)
    assert data.attainable["mae"] == pytest.approx(0.5 * math.sqrt(2 / math.pi))
    assert data.attainable["rmse"] == 0.5


def test_features_explain_the_stated_share():
    world = draw_world(**{**NUMBERS, "users": 20_000})
    left = world.user_bias - world.prior_mean[:, 0]
    assert left.var() == pytest.approx(0.5 * 0.5**2, rel=0.03)
    assert world.prior_variance == pytest.approx([0.5 * 0.5**2, 0.5, 0.5])
    assert np.corrcoef(world.users["age"].to_numpy(), world.user_bias)[0, 1] == pytest.approx(math.sqrt(0.5), abs=0.02)


def test_it_is_the_seed_that_decides():
    small = {"users": 20, "items": 50, "per_user": [30, 40]}
    assert synthetic(**small, seed=1).sha256 == synthetic(**small, seed=1).sha256
    assert synthetic(**small, seed=1).sha256 != synthetic(**small, seed=2).sha256


@pytest.mark.parametrize("shots", [0, 1, 5, 20])
def test_bayes_error_is_that_of_an_actual_bayesian_regression(shots):
    """Conditions a Gaussian process on the labels: the other form of the same regression, on users drawn anew."""
    world = draw_world(**{**NUMBERS, "users": 3000})
    rng = np.random.default_rng(7)
    design = np.column_stack([np.ones(NUMBERS["items"]), world.item_factors])
    kernel = design * world.prior_variance @ design.T
    errors = []
    for user in range(3000):
        items = rng.permutation(NUMBERS["items"])
        support, query = items[:shots], items[shots:][:30]
        prior = world.mean + world.item_bias + design @ world.prior_mean[user]
        truth = expected_label(world, np.full(len(items), user), np.arange(len(items)))
        label = truth + rng.normal(0, world.noise, len(items))
        noisy = kernel[np.ix_(support, support)] + world.noise**2 * np.eye(shots)
        weight = np.linalg.solve(noisy, label[support] - prior[support])
        errors.append(label[query] - prior[query] - kernel[np.ix_(query, support)] @ weight)
    errors = np.concatenate(errors)
    expected = bayes_error(world, shots)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(expected["rmse"], rel=0.015)
    assert np.abs(errors).mean() == pytest.approx(expected["mae"], rel=0.015)


def test_more_support_is_better_down_to_the_noise(data):
    rmse = [data.attainable[f"rmse@{shots}"] for shots in (0, 1, 3, 5, 10, 20)]
    assert rmse == sorted(rmse, reverse=True)
    assert data.attainable["rmse"] < rmse[-1] < 1.15 * data.attainable["rmse"]
    # Adaptation must be worth something, or the world tests nothing.
    assert rmse[0] > 1.4 * rmse[-1]


def test_without_factors_and_bias_only_the_noise_is_left():
    world = draw_world(**{**NUMBERS, "signal": 0.0, "user_bias": 0.0})
    assert bayes_error(world, 0)["rmse"] == pytest.approx(0.5)


def test_shots_beyond_the_items_are_not_reported():
    data = synthetic(users=5, items=8, per_user=[8, 8])
    assert {key for key in data.attainable or () if "@" in key} == {
        f"{m}@{k}" for m in ("mae", "rmse") for k in (0, 1, 3, 5)
    }


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": 0}, "dataset.users=0: must be at least 1"),
        ({"rank": 0}, "dataset.rank=0"),
        ({"noise": 0}, "dataset.noise=0: must be above 0"),
        ({"signal": -1}, "dataset.signal=-1: must not be negative"),
        ({"seed": -1}, "dataset.seed=-1: must be at least 0"),
        ({"explained": 1}, "dataset.explained=1: must be at least 0 and below 1"),
        ({"items": 50}, r"dataset.per_user=\[40, 60\].* 1 to dataset.items=50"),
        ({"per_user": [30]}, r"dataset.per_user=\[30\]"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UserError, match=message):
        synthetic(**change)
