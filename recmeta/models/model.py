"""Encoder and scorer to pure functions over plain pytrees: the only place where Flax becomes functions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import PRNGKeyArray

from recmeta.models.fields import Table
from recmeta.models.layers import Kernel
from recmeta.types import DataSpec, Encoding, Features, Model, Objective, Params, Support


def make_model(
    encoder: Callable[..., nnx.Module], scorer: Callable[..., nnx.Module], spec: DataSpec, objective: Objective
) -> Model:
    """Join an encoder and a scorer.

    Args:
        encoder: ``(spec=, rngs=) -> module``; see `recmeta.encoders`.
        scorer: ``(widths=, rngs=) -> module``; see `recmeta.scorers`.
        spec: sizes; its mean label is where scores start from.
        objective: says in which units a score is.
    """

    def split_encoder(key: PRNGKeyArray):
        return nnx.split(encoder(spec=spec, rngs=nnx.Rngs(key)), Table, ..., graph=False)

    # Shapes and structure alone: no table is allocated here.
    encoder_def, _, encoder_state = jax.eval_shape(split_encoder, jax.random.key(0))
    widths: tuple[int, int] = nnx.eval_shape(lambda: encoder(spec=spec, rngs=nnx.Rngs(0))).widths  # pyright: ignore

    def split_scorer(key: PRNGKeyArray):
        return nnx.split(scorer(widths=widths, rngs=nnx.Rngs(key)), graph=False)

    scorer_def, scorer_state = jax.eval_shape(split_scorer, jax.random.key(0))
    kernels = kernel_paths("encoder", encoder_state) | kernel_paths("scorer", scorer_state)

    def init(key: PRNGKeyArray) -> Params:
        key_encoder, key_scorer = jax.random.split(key)
        _, tables, rest = split_encoder(key_encoder)
        _, head = split_scorer(key_scorer)
        parts = {"tables": tables, "encoder": rest, "scorer": head}
        return {name: nnx.to_pure_dict(state) for name, state in parts.items()}

    def encode(params: Params, context: Features, support: Support, x: Features | None) -> Encoding:
        module = nnx.merge(encoder_def, nnx.State(params["tables"]), nnx.State(params["encoder"]))
        return module(context, support, x)

    def score(params: Params, encoding: Encoding):
        module = nnx.merge(scorer_def, nnx.State(params["scorer"]))
        return objective.link(jnp.asarray(spec.mean)) + module(encoding)

    return Model(init, encode, score, widths, kernels)


def kernel_paths(part: str, state: nnx.State) -> frozenset[tuple[Any, ...]]:
    """Where the kernels of a module stand in the parameters."""
    return frozenset((part, *path) for path, variable in nnx.to_flat_state(state) if isinstance(variable, Kernel))
