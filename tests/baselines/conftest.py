"""Fitted baselines, shared: some fits take a second."""

from functools import cache, partial
from itertools import product

import jax
import numpy as np
import pytest

from recmeta.baselines.panel import BASELINES
from recmeta.evaluation.predict import first_shots


@pytest.fixture(scope="session")
def fitted(problem):
    """``fitted(name)``: the state of a baseline fitted to the small problem."""
    return cache(lambda name: BASELINES[name].fit(problem))


@pytest.fixture(scope="session")
def middle():
    """``middle(name)``: settings from the middle of a baseline's grid, where they do something."""
    return lambda name: {key: values[len(values) // 2] for key, values in BASELINES[name].grid.items()}


@pytest.fixture(scope="session")
def corners():
    """``corners(name)``: all settings that are combinations of each grid's first and last values."""

    def of(name):
        grid = {key: (values[0], values[-1]) for key, values in BASELINES[name].grid.items()}
        return [dict(zip(grid, values, strict=True)) for values in product(*grid.values())]

    return of


@pytest.fixture(scope="session")
def predicted(fitted):
    """``predicted(name, task, settings, shots)``: the scores of a batch of tasks ``[T, n]``."""

    @cache
    def program(name):
        # One program for all settings and support sizes: compiling is what tests spend their time on.
        @jax.jit
        def batch(state, settings, keys, task, shots):
            one = partial(BASELINES[name].predict, state, settings)
            return jax.vmap(one)(keys, task.context, first_shots(task.support, shots), task.query)

        return batch

    def of(name, task, settings, shots=None):
        keys = jax.random.split(jax.random.key(0), task.query.mask.shape[0])
        settings = {key: np.float32(value) for key, value in settings.items()}
        shots = task.support.mask.shape[1] if shots is None else shots
        return np.asarray(program(name)(fitted(name), settings, keys, task, shots))

    return of
