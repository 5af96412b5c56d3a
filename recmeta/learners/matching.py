"""Matching networks for ratings: attention over the support's labels, with a prior as one more support row.

Trained as the paper's classifier, by the cross entropy of the rating levels, or as a regression, by the objective's
loss of the expected label. Both predict the expected label.
"""

from __future__ import annotations

from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import query_gradient, unless_shallow
from recmeta.learners.blocks.classes import REAL_VALUED, ClassLoss, class_gradient, is_classified, make_levels
from recmeta.types import DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Traced, UserError


class SupportMemory(NamedTuple):
    """One task's support as keys and values, with the parameters needed to look up a query."""

    key: Float[Array, "K d"]
    value: Float[Array, "K"]
    there: Bool[Array, "K"]
    params: Params
    context: Features
    support: Support


# Long: a classifier and a regression on one look-up, each of which is used once.
def matching(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    values: Literal["residual", "label"],
    width: Annotated[int, Ge(1)],
    temperature: Annotated[float, Gt(0), Traced],
    loss: ClassLoss = "auto",
) -> Learner:
    """Predict a row's label as the mean of the support's, weighted by a softmax of cosine similarities.

    The paper's support has many classes and is never empty; here it has a few rows or none. So the prior mean (the
    scorer's unadapted prediction) is one more row of the support, whose weight in the softmax is learned, in rows of
    similarity 0: with no support it is the prediction. As a classifier's row it has a distribution over the levels: the
    nearer a level is to the prior mean, the more of it, with a learned sharpness (`around`). Three more changes: the
    temperature of the softmax is learned; support and query are embedded alike and each row by itself (no "full context
    embeddings", under which the order of the support matters); and with ``values`` "residual" the average is over each
    support label's residual from the prior mean of its row, and is added to the prior mean of the query's. "label" is
    the paper's; a residual has no class, so that it is a regression.

    Args:
        spec, model, objective: given by recmeta.
        values: see above.
        width: of the space that similarities are measured in, reached by a learned linear map.
        temperature: its initial value; cosines are divided by it.
        loss: see `recmeta.learners.blocks.classes.ClassLoss`; "class" is the paper's.

    Raises:
        UserError: where residuals are to be classified.

    Reference: Vinyals et al., Matching networks for one shot learning, NeurIPS 2016, equation 1 and section 2.1.1.
    """
    residual = values == "residual"
    if residual and loss == "class":
        raise UserError("learner.loss=class: a residual has no class; take learner.values=label, or learner.loss=auto")
    classified = not residual and is_classified(loss, spec, objective)

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_space = jax.random.split(key)
        space = jax.random.normal(key_space, (model.widths[1], width)) / jnp.sqrt(model.widths[1])
        weigh = {"log_temperature": jnp.log(jnp.array(temperature)), "log_rows": jnp.zeros(())}
        weigh |= {"log_sharpness": jnp.zeros(())} if classified else {}
        return model.init(key_model) | {"space": space, "attention": weigh}

    def represent(params: Params, context: Features, support: Support, x: Features | None):
        encoding = model.encode(params, context, support, x)
        return unit(encoding.row @ params["space"]), objective.predict(model.score(params, encoding))

    def adapt(params, context, support, depth=None) -> SupportMemory:
        seen = unless_shallow(support, depth)
        key, prior = represent(params, context, support, None)
        value = seen.y - prior if residual else seen.y
        return SupportMemory(key, jnp.where(seen.mask, value, 0), seen.mask, params, context, support)

    def look_up(fast: SupportMemory, query: Query) -> tuple[Array, Array, Array]:
        key, prior = represent(fast.params, fast.context, fast.support, query.x)
        own = fast.params["attention"]
        similarity = key @ fast.key.T / jnp.exp(own["log_temperature"])
        return *attend(similarity, fast.there, own["log_rows"]), prior

    if classified:
        levels = make_levels(spec, "rating")

        def log_chance(fast: SupportMemory, query: Query) -> Float[Array, "n L"]:
            weight, rest, prior = look_up(fast, query)
            labelled = weight @ (jax.nn.one_hot(levels.number(fast.value), len(levels.values)) * fast.there[:, None])
            own = around(prior, levels.values, fast.params["attention"]["log_sharpness"])
            there = labelled > 0
            seen = jnp.where(there, jnp.log(jnp.where(there, labelled, 1)), -jnp.inf)
            return jnp.logaddexp(seen, jnp.log(rest)[:, None] + own)

        def expect(fast: SupportMemory, query: Query) -> Float[Array, "n"]:
            return objective.link(jnp.exp(log_chance(fast, query)) @ levels.values)

        return Learner(init, adapt, expect, class_gradient(adapt, log_chance, levels), 1, ignores=("objective",))

    def predict(fast: SupportMemory, query: Query) -> Float[Array, "n"]:
        weight, rest, prior = look_up(fast, query)
        return objective.link(weight @ fast.value + (prior if residual else rest * prior))

    notes = (REAL_VALUED.format("matching"),) if loss == "auto" and not (residual or spec.discrete) else ()
    departs = (("learner.loss", "regression"), *((("learner.values", "residuals"),) if residual else ()))
    return Learner(init, adapt, predict, query_gradient(adapt, predict, objective), 1, notes=notes, departs=departs)


def around(prior: Float[Array, "n"], levels: Float[Array, "L"], log_sharpness: Float[Array, ""]) -> Float[Array, "n L"]:
    """The log-probability of each level around a prior mean: a normal density, cut into levels and normalised.

    Args:
        prior: each row's prior mean, in labels.
        levels: ascending.
        log_sharpness: of the inverse variance, in mean gaps between levels: at 0 the deviation is one level.
    """
    gap = (levels[-1] - levels[0]) / max(len(levels) - 1, 1)
    steps = (levels - prior[:, None]) / jnp.where(gap > 0, gap, 1)
    return jax.nn.log_softmax(-jnp.exp(log_sharpness) / 2 * jnp.square(steps), axis=-1)


def unit(rows: Float[Array, "n d"]) -> Float[Array, "n d"]:
    """Scale rows to length 1; rows shorter than about 0.001 (entities without known features) stay near 0.

    >>> unit(jnp.array([[3.0, 4.0], [0.0, 0.0]])).round(3).tolist()
    [[0.6000000238418579, 0.800000011920929], [0.0, 0.0]]
    """
    return rows / jnp.sqrt(jnp.square(rows).sum(-1, keepdims=True) + 1e-6)


def attend(
    similarity: Float[Array, "n K"], there: Bool[Array, "K"], prior: Float[Array, ""]
) -> tuple[Float[Array, "n K"], Float[Array, "n"]]:
    """Softmax over the support rows present and one more row, the prior's.

    Args:
        similarity: of each query row to each support row, over the temperature.
        there: which support rows are present.
        prior: the similarity of the prior's row to every query row.

    Returns:
        The weights of the support rows, and of the prior's row.
    """
    logits = jnp.where(there, similarity, -jnp.inf)
    logits = jnp.concatenate([logits, jnp.broadcast_to(prior, (len(logits), 1))], axis=1)
    weight = jax.nn.softmax(logits, axis=1)
    return weight[:, :-1], weight[:, -1]
