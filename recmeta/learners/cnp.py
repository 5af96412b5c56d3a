"""Conditional neural process: summarise the support by a mean of encodings, and decode it beside each query row."""

from __future__ import annotations

from typing import Annotated, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient, unless_shallow
from recmeta.learners.blocks import dense
from recmeta.types import DataSpec, Features, Learner, Model, Objective, Params, Query, Support


class Summary(NamedTuple):
    """One task's support as one vector, with the parameters needed to score a query."""

    vector: Float[Array, "r"]
    params: Params
    context: Features
    support: Support


def cnp(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    width: Annotated[int, Ge(1)],
    hidden: dense.Hidden,
) -> Learner:
    """Score a row by the scorer, plus a decoder's output for the row and the support's summary.

    Each support row and its label are encoded by one network h; the summary r is the mean of the encodings; another
    network g reads a query row beside r:

        score(x) = scorer(x) + g(x, r) - g(x, 0),    r = sum over support h(x_i, y_i) / (K + c).

    One forward pass through small networks: no gradient is taken at test. Four changes from the paper. The scorer gives
    the prediction without support, to which g adds (the paper has g alone, with an arbitrary output for an empty
    support). h reads the label's difference to the scorer's prediction, not the label. The mean is shrunk by c rows of
    zeros, a learned number, where the paper's mean weighs one row as much as twenty. And g gives a mean without a
    variance: the loss is the objective.

    Args:
        spec, model, objective: given by recmeta.
        width: of the summary.
        hidden: widths of the hidden layers of both networks.

    Reference: Garnelo et al., Conditional neural processes, ICML 2018, equations 1 to 3.
    """
    rows = sum(model.widths)

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_encoder, key_decoder = jax.random.split(key, 3)
        process = {
            "encoder": dense.init(key_encoder, (rows + 1, *hidden, width)),
            # Small: at first the support contributes little, and the prediction is the scorer's.
            "decoder": dense.init(key_decoder, (rows + width, *hidden, 1), last=0.1),
            "log_rows": jnp.zeros(()),
        }
        return model.init(key_model) | {"process": process}

    def adapt(params, context, support, depth=None) -> Summary:
        process = params["process"]
        said = dense.apply(process["encoder"], dense.evidence(spec, model, objective, params, context, support))
        mask = unless_shallow(support, depth).mask
        return Summary(dense.pooled(said, mask, process["log_rows"]), params, context, support)

    def predict(fast: Summary, query: Query) -> Float[Array, "n"]:
        encoding = model.encode(fast.params, fast.context, fast.support, query.x)
        return model.score(fast.params, encoding) + decode(
            fast.params["process"]["decoder"], dense.joined(encoding), fast.vector
        )

    departs = (("paper", "beside a scorer, no variance"),)
    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1, departs=departs)


def decode(decoder: Params, rows: Float[Array, "n d"], vector: Float[Array, "r"]) -> Float[Array, "n"]:
    """The decoder's output for each row and a summary, less its output for a summary of zeros."""

    def given(vector: Array) -> Array:
        inputs = jnp.concatenate([rows, jnp.broadcast_to(vector, (len(rows), len(vector)))], axis=-1)
        return dense.apply(decoder, inputs)[:, 0]

    return given(vector) - given(jnp.zeros_like(vector))
