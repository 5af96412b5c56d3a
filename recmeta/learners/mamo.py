"""MAMO: read a task's initialisation from memories, addressed by the user's profile.

A user's profile p is compared to the keys of a memory, by cosine, and the softmax of that is its attention a over the
slots, which weights their contents: the feature-specific memory personalises the head, the task-specific memory gives a
matrix of how this kind of user sees items,

    head = scorer - sum_k a_k memory_k,    M = sum_k a_k matrix_k,    score(x) = head(context, row + row @ M),

and head and M both descend the support loss. The values read depend on the profile alone: without support they are
final.

The memories are meta-parameters, learned by the gradient of the query loss through the inner loop, where the paper
writes them by moving averages beside the training (with rates alpha, beta, gamma). The profile is the encoder's context
before any support row, and the head takes the place of the user's embedding layer, since encoders differ. The sharpness
of attention is learned. The published code overwrites its memories by a new initialisation at test, carries parameters
over from one user to the next, and draws attention weights at random on each read: here every task starts from the
values it reads, and changes none.

Where users have no features (and ids are new), all profiles are equal, and so are the values read: a MAML that also
adapts a matrix.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import query_gradient
from recmeta.types import DataSpec, Encoding, Features, Learner, Model, Objective, Params, Query, Support, Traced


class Personal(NamedTuple):
    """One task's head and preference matrix, after the inner loop, with the parameters needed to score a query."""

    fast: Params
    params: Params
    context: Features
    support: Support


def mamo(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    slots: Annotated[int, Ge(1)],
    inner_steps: Annotated[int, Ge(0)],
    inner_rate: Annotated[float, Gt(0), Traced],
    first_order: bool,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Start the inner loop of similar users at one place, and that of different kinds of users at different places.

    Args:
        spec, model, objective: given by recmeta.
        slots: slots of the memories: kinds of users.
        inner_steps: gradient steps on the support.
        inner_rate: their size.
        first_order: leave out the second derivatives.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Dong et al., MAMO: Memory-augmented meta-optimization for cold-start recommendation, KDD 2020: the
    feature-specific and the task-specific memory.
    """
    del spec
    inner = inner_loop.settled(inner, first_order=first_order, unused=inner_loop.VECTOR)

    def init(key: PRNGKeyArray) -> Params:
        key_model, *keys = jax.random.split(key, 4)
        params = model.init(key_model)
        return params | {"memory": init_memory(keys, params["scorer"], slots, model.widths)}

    def score(fast: Params, params: Params, encoding: Encoding) -> Float[Array, "n"]:
        seen = encoding._replace(row=encoding.row + encoding.row @ fast["matrix"])
        return model.score({**params, "scorer": fast["scorer"]}, seen)

    def adapt(params, context, support, depth=None) -> Personal:
        encoding = model.encode(params, context, support, None)

        def loss(fast: Params) -> Array:
            return objective.loss(score(fast, params, encoding), support.y, support.mask)

        # The first row has seen no other: its context is the user's profile without any support.
        start = read(params["memory"], params["scorer"], encoding.context[0])
        fast, _ = inner_loop.descend(
            jax.grad(loss), start, inner, steps=inner_steps, rate=inner_rate, depth=depth,
        )  # fmt: skip
        return Personal(fast, params, context, support)

    def predict(task: Personal, query: Query) -> Float[Array, "n"]:
        return score(task.fast, task.params, model.encode(task.params, task.context, task.support, query.x))

    departs = (("paper", "memories of the head, learned"),)
    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), inner_steps, departs=departs)


def init_memory(keys: Sequence[PRNGKeyArray], scorer: Params, slots: int, widths: tuple[int, int]) -> Params:
    """Initialise the memories' keys and slots.

    Args:
        keys: three keys.
        scorer: the shared head, whose leaves the slots have a copy of.
        slots: number of slots.
        widths: of the representations of context and row.
    """
    key_keys, key_head, key_matrix = keys
    context, row = widths
    leaves, structure = jax.tree.flatten(scorer)
    # Small, scaled like the leaf, and not zero: equal slots would have equal gradients for ever.
    head = [
        0.1 * jax.random.normal(key, (slots, *leaf.shape)) / max(1, leaf.shape[0] if leaf.ndim > 1 else 1) ** 0.5
        for leaf, key in zip(leaves, jax.random.split(key_head, len(leaves)), strict=True)
    ]
    return {
        "key": jax.random.normal(key_keys, (slots, context)),
        "log_sharpness": jnp.zeros(()),
        "head": jax.tree.unflatten(structure, head),
        "matrix": 0.1 * jax.random.normal(key_matrix, (slots, row, row)) / row**0.5,
    }


def attention(
    key: Float[Array, "k d"], log_sharpness: Float[Array, ""], profile: Float[Array, "d"]
) -> Float[Array, "k"]:
    """Softmax of the cosines between a profile and the keys, times the sharpness; uniform for a profile of zeros."""

    def direction(x: Array) -> Array:
        # Finite, with a finite gradient, for a zero vector.
        return x / jnp.sqrt(jnp.square(x).sum(-1, keepdims=True) + 1e-12)

    return jax.nn.softmax(jnp.exp(log_sharpness) * direction(key) @ direction(profile))


def read(memory: Params, scorer: Params, profile: Float[Array, "d"]) -> Params:
    """Read one user's initialisation: the personalised head and the preference matrix."""
    share = attention(memory["key"], memory["log_sharpness"], profile)
    head = jax.tree.map(lambda leaf, slots: leaf - jnp.tensordot(share, slots, 1), scorer, memory["head"])
    return {"scorer": head, "matrix": jnp.tensordot(share, memory["matrix"], 1)}
