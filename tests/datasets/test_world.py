import math

import numpy as np
import pytest

from recmeta.datasets.world import draw_items, draw_labels, draw_world, expected_label

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


def test_features_explain_the_stated_share():
    world = draw_world(**{**NUMBERS, "users": 20_000})
    left = world.user_bias - world.prior_mean[:, 0]
    assert left.var() == pytest.approx(0.5 * 0.5**2, rel=0.03)
    assert world.prior_variance == pytest.approx([0.5 * 0.5**2, 0.5, 0.5])
    assert np.corrcoef(world.users["age"].to_numpy(), world.user_bias)[0, 1] == pytest.approx(math.sqrt(0.5), abs=0.02)


def test_a_brand_explains_the_stated_share_of_an_items_level():
    world = draw_world(**{**NUMBERS, "items": 4000, "explained": 0.0}, brands=800, branded=0.7)
    brand = np.unique(world.items["brand"].to_numpy(), return_inverse=True)[1]
    counts = np.bincount(brand)
    within = world.item_bias - (np.bincount(brand, world.item_bias) / counts)[brand]
    # The variance within a brand of n items is that of single items times 1 - 1/n.
    expected = 0.3 * 0.5**2 * (1 - len(counts) / 4000)
    assert within.var() == pytest.approx(expected, rel=0.1)
    assert (world.item_bias - within).var() == pytest.approx(0.7 * 0.5**2, rel=0.5), "a few brands weigh much"
    assert (counts == 1).sum() > 30 * (counts > 100).sum() > 0


def test_items_differ_in_noise_around_the_stated_variance():
    world = draw_world(**{**NUMBERS, "items": 8000}, uneven=0.4)
    assert (world.noise**2).mean() == pytest.approx(0.5**2, rel=0.05)
    assert np.log(world.noise).std() == pytest.approx(0.4, rel=0.04)
    item = np.repeat([int(world.noise.argmin()), int(world.noise.argmax())], 4000)
    left = draw_labels(world, np.zeros_like(item), item, np.random.default_rng(0))
    left = (left - expected_label(world, np.zeros_like(item), item)).reshape(2, -1)
    assert left.std(axis=1) == pytest.approx([world.noise.min(), world.noise.max()], rel=0.05)


def test_items_are_drawn_one_after_the_other_by_popularity():
    """Of three items, two: the chance of each pair by hand."""
    world = draw_world(**{**NUMBERS, "items": 3}, skew=1.0)
    rng = np.random.default_rng(0)
    drawn = draw_items(world.popularity, 6000, 2, rng)
    share = world.popularity / world.popularity.sum()
    for left_out in range(3):
        one, two = (at for at in range(3) if at != left_out)
        expected = share[one] * share[two] * (1 / (1 - share[one]) + 1 / (1 - share[two]))
        there = (drawn != left_out).all(axis=1)
        assert there.mean() == pytest.approx(expected, abs=0.02)
        assert (drawn[there, 0] == one).mean() == pytest.approx(0.5, abs=0.04), "in random order"


def test_what_is_not_asked_for_moves_no_draw():
    plain, more = draw_world(**NUMBERS), draw_world(**NUMBERS, skew=1.0, uneven=0.3, levels=[6, 8, 10])
    assert np.array_equal(plain.item_bias, more.item_bias)
    assert np.array_equal(plain.user_factors, more.user_factors)
    assert math.isclose(float(plain.noise.max()), 0.5)
