"""A hypernetwork: turn the support into a change of the model's weights, in one pass.

The summary r is the shrunk mean of encodings of the labelled support rows, as in `cnp`. A weight vector changes by ``r
@ emit``; a weight matrix of a x b by the product of an a x rank and a rank x b matrix (or as a full matrix, where that
is no more numbers), of which the second is emitted, and the first is a shared matrix plus an emitted one. Without
support r is 0 and so is the change: the prediction is the scorer's. Where MAML takes gradient steps to a task's head,
this takes one forward pass. With "film" it emits a scale and a shift of each dense layer's outputs, with "bias" a shift
alone: modulation of layers by the support, whose kind and place ColdNAS searches for.

Changed from the paper: the hypernetwork reads a task's support, where the paper's reads a learned embedding of each
layer; and its output is added to shared weights.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation import adapters, inner
from recmeta.learners.adaptation.episode import Adapted, query_gradient, score_query, unless_shallow
from recmeta.learners.blocks import dense
from recmeta.types import DataSpec, Learner, Model, Objective, Params, UserError


def hyper(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    width: Annotated[int, Ge(1)],
    hidden: dense.Hidden,
    rank: Annotated[int, Ge(1)] | None,
    adapts: adapters.Adapts,
) -> Learner:
    """Emit the adapted weights by a network: for "head" the shared scorer's, plus a change linear in the summary.

    Args:
        spec, model, objective: given by recmeta.
        width: of the summary.
        hidden: widths of the hidden layers of the encoder.
        rank: of a matrix' change; None: any change, at a cost of width x a x b weights.
        adapts: the part emitted; see `adapters.Adapts`. "body" and "all", which hold embedding tables, are refused.

    Raises:
        UserError: where embedding tables would have to be emitted.

    Reference: Ha et al., HyperNetworks, ICLR 2017, section 3.1 (a linear map from an embedding to a layer's weights);
    Requeima et al., CNAPs, NeurIPS 2019 (the embedding is pooled from a support); Hu et al., LoRA, ICLR 2022, equation
    3 (the change is of low rank); Perez et al., FiLM, AAAI 2018; Wu et al., ColdNAS: Search to modulate for user
    cold-start recommendation, WWW 2023.
    """
    if adapts in ("body", "all"):
        raise UserError(f"learner.adapts={adapts}: a hypernetwork emits no embedding tables; take head, film or lora")
    model, adapting = adapters.fitted(model, adapts)

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_encoder, key_emit = jax.random.split(key, 3)
        params = model.init(key_model)
        leaves, structure = jax.tree.flatten(inner.chosen(params, adapting))
        emit = [
            emitter(key, leaf.shape, width, rank)
            for leaf, key in zip(leaves, jax.random.split(key_emit, len(leaves)), strict=True)
        ]
        encoder = dense.init(key_encoder, (sum(model.widths) + 1, *hidden, width))
        return params | {
            "hyper": {"encoder": encoder, "log_rows": jnp.zeros(()), "emit": jax.tree.unflatten(structure, emit)}
        }

    def adapt(params, context, support, depth=None) -> Adapted:
        own, start = params["hyper"], {name: part for name, part in params.items() if name != "hyper"}
        said = dense.apply(own["encoder"], dense.evidence(spec, model, objective, start, context, support))
        summary = dense.pooled(said, unless_shallow(support, depth).mask, own["log_rows"])
        fast = jax.tree.map(
            lambda leaf, emit: leaf + change(emit, summary, leaf.shape), inner.chosen(start, adapting), own["emit"]
        )
        return Adapted(inner.with_fast(start, fast), context, support)

    predict = score_query(model)
    departs = adapters.departures(adapts, of="head")
    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1, departs=departs)


def emitter(key: PRNGKeyArray, shape: tuple[int, ...], width: int, rank: int | None) -> Params:
    """The maps from a summary to the change of one leaf: "whole", or "left" (with its "base") and "right".

    Small at the start, so that the head is the shared one, and scaled like the leaf.
    """
    size = 1
    for length in shape:
        size *= length
    scale = 0.1 / (width * (shape[0] if len(shape) > 1 else 1)) ** 0.5
    if rank is None or len(shape) != 2 or rank * sum(shape) >= size:
        return {"whole": scale * jax.random.normal(key, (width, size))}
    key_base, key_left, key_right = jax.random.split(key, 3)
    rows, columns = shape
    return {
        "base": jax.random.normal(key_base, (rows, rank)) / rank**0.5,
        "left": 0.1 * jax.random.normal(key_left, (width, rows * rank)) / width**0.5,
        "right": scale * jax.random.normal(key_right, (width, rank * columns)),
    }


def change(emit: Params, summary: Float[Array, "r"], shape: tuple[int, ...]) -> Array:
    """The change of one leaf: 0 for a summary of zeros."""
    if "whole" in emit:
        return (summary @ emit["whole"]).reshape(shape)
    base = emit["base"]
    left = base + (summary @ emit["left"]).reshape(base.shape)
    return left @ (summary @ emit["right"]).reshape(base.shape[1], shape[1])
