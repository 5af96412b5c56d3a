"""Baselines that ignore the item: random, global mean, support mean."""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jaxtyping import Array

from recmeta.objectives import masked_mean
from recmeta.types import Baseline, Problem


def _spec_mean(problem: Problem) -> Array:
    return jnp.asarray(problem.spec.mean, jnp.float32)


def _labels(problem: Problem) -> Array:
    return problem.train.label


def _draw(labels: Array, settings, key, context, support, query) -> Array:
    return jax.random.choice(key, labels, query.mask.shape)


def _constant(mean: Array, settings, key, context, support, query) -> Array:
    return jnp.full(query.mask.shape, mean)


def _support(mean: Array, settings, key, context, support, query) -> Array:
    own = jnp.where(support.mask.any(), masked_mean(support.y, support.mask), mean)
    return jnp.full(query.mask.shape, own)


random = Baseline(_labels, _draw, rates=True)
"""A label drawn from the meta-train labels for each row."""

global_mean = Baseline(_spec_mean, _constant, rates=True)
"""The mean meta-train label; as a ranking, exactly the random floor."""

support_mean = Baseline(_spec_mean, _support, rates=True)
"""The mean of the support's labels; the global mean where there is no support."""
