"""What the tests of gradient-based learners share."""

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.types import Encoding, Model

BILINEAR = Model(
    init=lambda key: {"encoder": {}, "tables": {}, "scorer": {"level": jnp.array(3.0)}},
    encode=lambda params, context, support, x: Encoding(context["c"][None], (support.x if x is None else x)["v"]),
    score=lambda params, encoding: params["scorer"]["level"] + (encoding.context * encoding.row).sum(-1),
    widths=(2, 2),
)
"""Representations are the features "c" and "v" themselves, of width 2."""


def network(layers, x):
    """Two layers of `recmeta.learners.blocks.dense`, in numpy."""
    first, second = (jax.tree.map(np.asarray, layers[name]) for name in ("layer_0", "layer_1"))
    return np.maximum(x @ first["kernel"] + first["bias"], 0) @ second["kernel"] + second["bias"]


def off_start(learner, rng):
    """A learner's parameters, a random step away from where they start."""
    return jax.tree.map(
        lambda leaf: np.asarray(leaf, np.float64) + 0.5 * rng.normal(size=leaf.shape), learner.init(jax.random.key(0))
    )


def to_double(tree):
    """Numbers in double precision, codes and masks as they are."""
    double = lambda leaf: jnp.asarray(leaf, jnp.float64) if leaf.dtype == np.float32 else jnp.asarray(leaf)  # noqa: E731
    return jax.tree.map(lambda leaf: double(np.asarray(leaf)), tree)


@pytest.fixture(scope="session")
def derivative_error():
    """``derivative_error(learner, params, batch)``: by how much ``meta_grad`` is not the derivative of the mean squared
    query error after adaptation, over eight random directions and its own, relative to its norm. With ``only``, of that
    part of the parameters alone."""

    def error(learner, params, batch, only=None):
        with jax.enable_x64():
            params, batch = to_double(params), to_double(batch)
            flat, restore = jax.flatten_util.ravel_pytree(params if only is None else params[only])
            unflatten = restore if only is None else lambda flat: params | {only: restore(flat)}

            @jax.jit
            def loss(flat):
                def one(task, label):
                    score = learner.predict(learner.adapt(unflatten(flat), task.context, task.support), task.query)
                    return (jnp.square(score - label) * task.query.mask).sum() / task.query.mask.sum()

                return jax.vmap(one)(batch.task, batch.label).mean()

            gradient, reported = jax.jit(learner.meta_grad)(params, batch, jax.random.key(0))
            gradient = np.asarray(jax.flatten_util.ravel_pytree(gradient if only is None else gradient[only])[0])
            np.testing.assert_allclose(reported["loss"], loss(flat), rtol=1e-12)
            size, errors = np.linalg.norm(gradient), []
            for way in (*np.random.default_rng(0).normal(size=(8, len(flat))), gradient):
                unit = way / np.linalg.norm(way)
                numeric = (loss(flat + 1e-5 * unit) - loss(flat - 1e-5 * unit)) / 2e-5
                errors.append(abs(numeric - gradient @ unit) / size)
        assert size > 0
        return float(np.max(errors))  # not a number, if any is

    return error
