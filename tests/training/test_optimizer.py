"""Around the outer optimizer: what is clipped, and what stays."""

import jax
import numpy as np
import optax
import pytest

from recmeta.training.optimizer import SCHEDULES, outer_optimizer
from recmeta.types import UserError

ONES = np.ones((2, 2), np.float32)
PARAMS = {
    "tables": {"row": ONES},
    "encoder": {},
    "scorer": {"layers": {0: {"kernel": ONES[0]}, 1: {"kernel": ONES[0]}}, "bias": ONES[0, :1]},
}
PLAIN = {"clip": None, "schedule": None, "steps": 4, "freeze": []}
GRADIENT = jax.tree.map(lambda leaf: 3 * np.ones_like(leaf), PARAMS)


def stepped(optimizer, steps=3, gradient=GRADIENT, **settings):
    made = outer_optimizer(optimizer, PARAMS, **PLAIN | settings)
    params, state = PARAMS, made.init(PARAMS)
    for _ in range(steps):
        updates, state = made.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
    return params


def moved(params):
    return jax.tree.map(lambda after, before: np.asarray(after - before), params, PARAMS)


@pytest.mark.parametrize(("clip", "factor"), [(None, 1), (9.0, 1), (1.0, 1 / 9)])
def test_a_gradient_is_made_no_longer_than_the_bound(clip, factor):
    """Nine numbers, each 3: a norm of 9. The gradient, and not the update, whose norm is a tenth of it."""
    change = moved(stepped(optax.sgd(0.1), steps=1, clip=clip))
    jax.tree.map(lambda delta: np.testing.assert_allclose(delta, -0.3 * factor, rtol=1e-5), change)


@pytest.mark.parametrize(
    ("schedule", "factors"),
    [
        ("constant", [1, 1, 1, 1]),
        ("linear", [1, 0.75, 0.5, 0.25]),
        ("cosine", (1 + np.cos(np.pi * np.arange(4) / 4)) / 2),
    ],
)
@pytest.mark.parametrize("optimizer", [optax.sgd(1.0), optax.adam(1.0)])
def test_the_rate_falls_over_all_steps_whatever_the_optimizer(optimizer, schedule, factors):
    lengths = [0.0] + [
        moved(stepped(optimizer, steps=n + 1, schedule=SCHEDULES[schedule]))["scorer"]["bias"][0] for n in range(4)
    ]
    each = np.diff(lengths)
    np.testing.assert_allclose(each / each[0], factors, rtol=1e-4)


def test_what_is_frozen_stays_bit_for_bit_and_the_others_move_as_without_it():
    adamw = optax.adamw(0.1, weight_decay=0.5)
    free, frozen = stepped(adamw), stepped(adamw, freeze=["tables", "scorer.layers.1"])
    np.testing.assert_array_equal(frozen["tables"]["row"], PARAMS["tables"]["row"])
    np.testing.assert_array_equal(frozen["scorer"]["layers"][1]["kernel"], np.ones(2))
    np.testing.assert_array_equal(frozen["scorer"]["layers"][0]["kernel"], free["scorer"]["layers"][0]["kernel"])
    np.testing.assert_array_equal(frozen["scorer"]["bias"], free["scorer"]["bias"])
    assert np.abs(moved(free)["tables"]["row"]).min() > 0.1


def test_the_norm_is_of_what_moves():
    """The bias alone is left: a norm of 3."""
    change = moved(stepped(optax.sgd(1.0), steps=1, clip=1.0, freeze=["tables", "scorer.layers"]))
    np.testing.assert_allclose(change["scorer"]["bias"], -1, rtol=1e-6)


def test_nothing_is_remembered_of_what_is_frozen():
    state = outer_optimizer(optax.adam(0.1), PARAMS, **PLAIN | {"freeze": ["tables"]}).init(PARAMS)
    assert (2, 2) not in {leaf.shape for leaf in jax.tree.leaves(state)}


@pytest.mark.parametrize(
    ("name", "there"),
    [
        ("table", "tables, encoder, scorer"),
        ("rates.scorer", "tables, encoder, scorer"),
        ("scorer.layer", "scorer.layers, scorer.bias"),
        ("scorer.layers.2", "scorer.layers.0, scorer.layers.1"),
    ],
)
def test_a_part_that_is_none_is_refused_and_what_there_is_named(name, there):
    with pytest.raises(UserError, match=f"^freeze={name}: no such part of the parameters; there are {there}$"):
        outer_optimizer(
            optax.sgd(1.0), PARAMS, **PLAIN | {"freeze": ["encoder", name]}
        )  # the encoder has nothing, and is one
