import numpy as np
import pytest
from scipy.special import ndtr

from recmeta.datasets.optimum import bayes_error, known_error
from recmeta.datasets.world import draw_labels, draw_world, expected_label

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

LEVELS = [6, 7, 8, 9, 10]


@pytest.mark.parametrize(("shots", "uneven"), [(0, 0.0), (1, 0.0), (5, 0.0), (20, 0.0), (5, 0.6)])
def test_bayes_error_is_that_of_an_actual_bayesian_regression(shots, uneven):
    """Conditions a Gaussian process on the labels: the other form of the same regression, on users drawn anew."""
    world = draw_world(**{**NUMBERS, "users": 3000}, uneven=uneven)
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
        noisy = kernel[np.ix_(support, support)] + np.diag(world.noise[support] ** 2)
        weight = np.linalg.solve(noisy, label[support] - prior[support])
        errors.append(label[query] - prior[query] - kernel[np.ix_(query, support)] @ weight)
    errors = np.concatenate(errors)
    expected = bayes_error(world, shots)
    assert np.sqrt(np.mean(errors**2)) == pytest.approx(expected["rmse"], rel=0.015)
    assert np.abs(errors).mean() == pytest.approx(expected["mae"], rel=0.015)


def test_without_factors_and_bias_only_the_noise_is_left():
    world = draw_world(**{**NUMBERS, "signal": 0.0, "user_bias": 0.0})
    assert bayes_error(world, 0)["rmse"] == pytest.approx(0.5)


@pytest.mark.parametrize("shots", [0, 5])
def test_the_error_of_levels_is_that_of_the_exact_posterior(shots):
    """A world with a bias of users alone: its posterior by quadrature, on users and labels drawn anew."""
    biased = {"users": 4000, "signal": 0.0, "mean": 9.0, "user_bias": 1.0, "explained": 0.0}
    world = draw_world(**{**NUMBERS, **biased}, levels=LEVELS)
    rng = np.random.default_rng(7)
    users, items = np.arange(4000), np.array([rng.permutation(NUMBERS["items"])[: shots + 4] for _ in range(4000)])
    label = draw_labels(world, np.repeat(users, shots + 4), items.ravel(), rng).reshape(items.shape)
    grid = np.linspace(-4, 4, 81)
    bounds = np.array([-np.inf, *world.cuts, np.inf])
    centre = world.mean + world.item_bias[:, None] + grid
    chance = np.diff(ndtr((bounds - centre[..., None]) / 0.5), axis=-1)  # [item, grid, level]
    weight = np.exp(-(grid**2) / 2) * np.ones((4000, 1))
    for place in range(shots):
        weight *= chance[items[:, place], :, np.searchsorted(LEVELS, label[:, place])]
    found = np.einsum("ug,uqgl->uql", weight / weight.sum(axis=1, keepdims=True), chance[items[:, shots:]])
    median = np.array(LEVELS)[(found.cumsum(axis=-1) < 0.5).sum(axis=-1)]
    expected = bayes_error(world, shots)
    assert np.abs(label[:, shots:] - median).mean() == pytest.approx(expected["mae"], rel=0.03)
    assert np.sqrt(((label[:, shots:] - found @ LEVELS) ** 2).mean()) == pytest.approx(expected["rmse"], rel=0.02)


def test_levels_that_are_close_leave_the_error_of_real_labels():
    fine = np.linspace(0, 16, 81)
    real, levels = draw_world(**NUMBERS), draw_world(**NUMBERS, levels=fine)
    for shots in (1, 10):
        expected, found = (bayes_error(world, shots, draws=300) for world in (real, levels))
        assert found == pytest.approx(expected, rel=0.01)


def test_more_support_is_better_with_levels_too_down_to_the_user_who_is_known():
    world = draw_world(**NUMBERS, levels=LEVELS)
    rmse = [*(bayes_error(world, shots)["rmse"] for shots in (0, 3, 20)), known_error(world)["rmse"]]
    assert rmse == sorted(rmse, reverse=True)


def test_the_error_of_a_user_who_is_known_is_that_of_the_noise_and_the_levels():
    world = draw_world(**NUMBERS, levels=LEVELS, uneven=0.4)
    user, item = (np.random.default_rng(1).integers(most, size=20_000) for most in (NUMBERS["users"], NUMBERS["items"]))
    centre = expected_label(world, user, item)
    drawn = [draw_labels(world, user, item, np.random.default_rng(seed)) for seed in range(25)]
    best, known = np.median(drawn, axis=0), known_error(world)
    assert np.abs(draw_labels(world, user, item, np.random.default_rng(99)) - best).mean() == pytest.approx(
        known["mae"], rel=0.05
    )
    assert known["mae"] < np.abs(draw_labels(world, user, item, np.random.default_rng(99)) - centre).mean()
