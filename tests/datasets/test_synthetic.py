import math

import numpy as np
import pytest

from recmeta.datasets.synthetic import synthetic
from recmeta.datasets.world import draw_world, expected_label
from recmeta.types import UserError


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
    world = draw_world(
        users=1000, items=200, rank=3, mean=8.0, user_bias=0.5, item_bias=0.5, signal=0.8, noise=0.5,
        explained=0.5, seed=0,
    )  # fmt: skip
    left = data.label - expected_label(world, data.user, data.item)
    assert left.std() == pytest.approx(0.5, rel=0.01)
    assert np.abs(left).mean() == pytest.approx(data.attainable["mae"], rel=0.01)
    assert data.attainable["mae"] == pytest.approx(0.5 * math.sqrt(2 / math.pi))
    assert data.attainable["rmse"] == 0.5


def test_the_table_as_it_comes_is_the_same_in_every_version(data):
    """Its hash stands in run directories: with other settings at their defaults nothing may move."""
    assert data.sha256 == "c79a0b0a5f964bc11611c00c8a1c1f789ea09fd2f998ba01a3662a4d650e462e"
    small = synthetic(users=100, items=70, seed=4, explained=0.2)
    assert small.sha256 == "ec2f92ea6625d26a472bcf7641b7dfec175075b7978ee567323541b23bb8cb59"


@pytest.fixture(scope="module")
def shaped():
    """A table with everything that real ones have."""
    return synthetic(
        users=600, items=300, mean=4.6, user_bias=0.4, item_bias=0.4, signal=0.3, noise=0.8, per_user=[10, 80],
        levels=[1, 2, 3, 4, 5], skew=1.0, tail=1.5, uneven=0.4, brands=100, branded=0.8, times=False,
    )  # fmt: skip


def test_labels_are_levels_and_bunch_where_the_mean_is(shaped):
    levels, counts = np.unique(shaped.label, return_counts=True)
    assert shaped.label_range == (1, 5)
    assert levels.tolist() == [1, 2, 3, 4, 5]
    assert counts[-1] == counts.max() > len(shaped.label) / 2
    assert list(counts) == sorted(counts)


def test_a_label_is_the_level_that_is_nearest():
    plain = {"users": 40, "items": 20, "per_user": [10, 20]}  # few items: fewer support sizes to work out
    real, levels = synthetic(**plain), synthetic(**plain, levels=[6, 7, 8, 10])
    nearest = np.array([6, 7, 8, 10])[np.abs(real.label[:, None] - [6, 7, 8, 10]).argmin(axis=1)]
    assert (levels.label == nearest).all()


def test_few_users_have_many_rows_and_few_items_are_rated_often(shaped):
    users, items = np.bincount(shaped.user), np.sort(np.bincount(shaped.item))[::-1]
    assert users.min() == 10
    assert 70 < users.max() <= 80
    weight = np.arange(10, 81.0) ** -1.5
    assert users.mean() == pytest.approx((np.arange(10, 81) * weight).sum() / weight.sum(), rel=0.05)
    assert np.median(users) < users.mean()
    # Of items drawn one at a time, the first tenth has 73 % of the weight of 1 / rank; without replacement less.
    assert 0.3 < items[:30].sum() / items.sum() < 0.63
    uniform = np.sort(np.bincount(synthetic(users=600, items=300, per_user=[10, 80]).item))[::-1]
    assert uniform[:30].sum() / uniform.sum() < 0.13


def test_there_are_no_times_where_there_are_to_be_none(shaped, data):
    assert shaped.time is None
    assert data.time is not None


def test_a_brand_is_a_feature_of_items(shaped, data):
    assert shaped.items.features["brand"].kind == "categorical"
    assert "brand" not in data.items.features


def test_it_is_the_seed_that_decides():
    small = {"users": 20, "items": 50, "per_user": [30, 40]}
    assert synthetic(**small, seed=1).sha256 == synthetic(**small, seed=1).sha256
    assert synthetic(**small, seed=1).sha256 != synthetic(**small, seed=2).sha256


def test_more_support_is_better_down_to_the_noise(data):
    rmse = [data.attainable[f"rmse@{shots}"] for shots in (0, 1, 3, 5, 10, 20)]
    assert rmse == sorted(rmse, reverse=True)
    assert data.attainable["rmse"] < rmse[-1] < 1.15 * data.attainable["rmse"]
    # Adaptation must be worth something, or the world tests nothing.
    assert rmse[0] > 1.4 * rmse[-1]


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
        ({"tail": -1}, "dataset.tail=-1: must not be negative"),
        ({"skew": -1}, "dataset.skew=-1: must not be negative"),
        ({"uneven": -1}, "dataset.uneven=-1: must not be negative"),
        ({"brands": -1}, "dataset.brands=-1: must be at least 0"),
        ({"branded": 1}, "dataset.branded=1: must be at least 0 and below 1"),
        ({"levels": [8]}, r"dataset.levels=\[8\]: give two numbers or more"),
        ({"levels": [5, 5, 9]}, r"dataset.levels=\[5, 5, 9\]: .* in ascending order"),
        ({"levels": [1, 5]}, "dataset.mean=8: must be from dataset.levels' lowest, 1, to 5"),
    ],
)
def test_refuses(change, message):
    with pytest.raises(UserError, match=message):
        synthetic(**change)
