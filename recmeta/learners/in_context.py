"""In-context correction of a closed form: a transformer reads the support, and corrects a predictive distribution.

A base that is fitted in closed form predicts a distribution of each label, given the support: the factor model, or
biases alone. A transformer reads the support's rows, each with its label, what the base leaves of it and how sure the
base was; query rows attend to them, more to items that are alike; and what comes out is added to the logits of the
base's distribution over the label's levels. It is zero at first, so that training begins at the base, and zero without
support, where the prediction is the base's. Adaptation is one forward pass: the field's names are amortised inference,
neural processes, prior-data fitted networks.

What is read of an item (its vector and bias, the labels that it has had) is cross-fitted (`recmeta.fitted.folds`): a
meta-train task reads what was fitted without its own fold's labels, as test tasks do.

Trained by cross entropy over the levels and by each task's root mean squared error, which tables print the mean of,
whatever the objective: of tasks that nobody can predict well neither makes more than of others.
Of labels with more than a few values it corrects mean and variance of a normal instead. A ranking is by the mean.

Changed from the papers: the base, whose logits are corrected; cross-fitting; attention that knows which items are
alike.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Annotated, Any, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Lt
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.fitted import factor_model
from recmeta.fitted.factor_model import Predictive, User
from recmeta.fitted.folds import CrossFit, CrossFitted, own_fold
from recmeta.learners.adaptation.episode import mean_gradient, unless_shallow, visits
from recmeta.learners.blocks import dense, transformer
from recmeta.learners.blocks.inputs import (
    Base,
    Fits,
    Rows,
    label_numbers,
    own_fits,
    prepare,
    query_numbers,
    read_rows,
    token_sizes,
    user_numbers,
)
from recmeta.objectives import levels
from recmeta.objectives.pointwise import masked_mean
from recmeta.types import (
    Batch,
    DataSpec,
    Features,
    Learner,
    Model,
    Objective,
    Params,
    Query,
    Support,
    UserError,
)

SMALLEST = 1e-6
"""Added to a mean squared error, in squared label units, before its root is taken."""


class Seen(NamedTuple):
    """An encoded support, with the parameters needed to score a query.

    Attributes:
        fit: the fits that this task reads.
        user: its posterior under the base.
        read: the support's rows in each block of the transformer; the first row is the user's.
        rows: the support's.
        drop: randomness of dropout; None: none.
    """

    fit: Fits
    user: User
    read: transformer.Read
    rows: Rows
    params: Params
    context: Features
    support: Support
    drop: PRNGKeyArray | None


# Long: the signature and what it says are half of it.
def in_context(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    cross_fit: CrossFit,
    base: Base,
    rank: Annotated[int, Ge(1)],
    width: Annotated[int, Ge(1)],
    heads: Annotated[int, Ge(1)],
    blocks: Annotated[int, Ge(0)],
    dropout: Annotated[float, Ge(0), Lt(1)],
    rmse: Annotated[float, Ge(0)],
    entropy: Annotated[float, Ge(0)] = 1.0,
    cross_fitted: bool = True,
) -> Learner:
    """Correct a closed form's predictive distribution by a transformer over the support.

    Args:
        spec, model, objective, cross_fit: given by recmeta.
        base: what is corrected: the factor model, user and item biases, or (none) the labels' mean and variance.
        rank: length of the factor model's vectors.
        width: of the transformer's rows, a multiple of ``heads``.
        heads: of its attention.
        blocks: number of its blocks; with 0 a query row sees the support through the base alone.
        dropout: share of numbers dropped in training.
        rmse: weight of a task's root mean squared error, in half label ranges.
        entropy: weight of the cross entropy; 0: the error alone is learned.
        cross_fitted: whether a meta-train task reads what was fitted without its fold; where not, what it reads has its
            own labels in it, which no test task finds. For ablations.

    Raises:
        UserError: where the width can't be dealt out to the heads, or nothing is learned.

    Reference: Hollmann et al., TabPFN, ICLR 2023, and Müller et al., Transformers can do Bayesian inference, ICLR 2022
    (in-context prediction); Kim et al., Attentive neural processes, ICLR 2019; the base is that of
    `recmeta.baselines.factor_model`.
    """
    if width % heads:
        raise UserError(f"learner.width={width} must be a multiple of learner.heads={heads}")
    if not rmse and not entropy:
        raise UserError("learner.rmse=0 and learner.entropy=0: nothing is learned; one must be above 0")
    fitted = cross_fit(partial(prepare, base=base, rank=rank))
    if not cross_fitted:
        fitted = fitted._replace(fold=jnp.zeros_like(fitted.fold))
    reader = partial(read_support, spec, model, fitted, dropout)
    output = len(spec.levels) if spec.discrete else 2

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_own = jax.random.split(key)
        encoder = {name: part for name, part in model.init(key_model).items() if name != "scorer"}
        sizes = token_sizes(spec, model.widths, fitted.fits.base.loading.shape[-1])
        return encoder | {"context": init_transformer(key_own, sizes, width, heads, blocks, output)}

    def adapt(params, context, support, depth=None) -> Seen:
        return reader(params, context, unless_shallow(support, depth), None)

    def corrected(fast: Seen, query: Query):
        return correct(spec, model, dropout, fast, query)

    def predict(fast: Seen, query: Query) -> Float[Array, "n"]:
        return objective.link(expected_label(spec, corrected(fast, query)))

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        def one(params: Params, task, label: Array, visit) -> Array:
            fast = reader(params, task.context, task.support, visit.key)
            found, mean = corrected(fast, task.query), partial(masked_mean, mask=task.query.mask, weights=visit.weight)
            error = mean(jnp.square(expected_label(spec, found) - label))
            # A root has no slope at 0.
            root = jnp.sqrt(error + SMALLEST) / ((spec.high - spec.low) / 2)
            return entropy * mean(surprise(spec, found, label)) + rmse * root

        return mean_gradient(one, params, batch, visits(batch, key))

    def shrink(params: Params, share: Array) -> Params:
        own = params["context"]
        last = jax.tree.map(lambda values: share * values, own["decoder"]["layer_1"])
        return params | {"context": own | {"decoder": own["decoder"] | {"layer_1": last}}}

    return Learner(
        init, adapt, predict, meta_grad, 1, ignores=("objective",),
        distribution=corrected if spec.discrete else None, shrink=shrink,
    )  # fmt: skip


def init_transformer(
    key: PRNGKeyArray, sizes: dict[str, int], width: int, heads: int, blocks: int, output: int
) -> Params:
    """Initialise the transformer: its last layer is zeros, so that nothing is corrected at first.

    Args:
        key: randomness.
        sizes: from `token_sizes`.
        width, heads, blocks: settings of `in_context`.
        output: how many numbers correct a row.
    """
    keys = iter(jax.random.split(key, len(sizes) + blocks + 1))
    maps = {name: dense.init(next(keys), (size, width)) for name, size in sizes.items()}
    return {
        **maps,
        "blocks": {f"block_{i}": transformer.init(next(keys), width, heads, 2) for i in range(blocks)},
        "norm": {"scale": jnp.ones(width), "shift": jnp.zeros(width)},
        "decoder": dense.init(next(keys), (width, width, output), last=0.0),
    }


def read_support(
    spec: DataSpec, model: Model, fitted: CrossFitted, rate: float, params: Params, context: Features, support: Support,
    key: PRNGKeyArray | None,
) -> Seen:  # fmt: skip
    """Read a support: fold the user into the base, and pass the user's row and the support's through the transformer.

    Args:
        spec, model: sizes, and the encoder of features.
        fitted: the fits, of which the task reads its own.
        rate: of dropout.
        params, context, support: of the task.
        key: of dropout; None: nothing is dropped.
    """
    fit = own_fits(fitted, own_fold(fitted, context))
    item = factor_model.moments(fit.base, support.x)
    user = factor_model.posterior(fit.base, context, support, item)
    rows = read_rows(spec, model, params, context, support, fit, user, support.x)
    own, keys = params["context"], _keys(key, len(params["context"]["blocks"]))
    tokens = jnp.concatenate([rows.tokens, label_numbers(spec, support, item.level, rows.predicted, fit)], axis=1)
    first = user_numbers(spec, model, params, context, support, fit, user, rows)
    read = jnp.concatenate([dense.apply(own["user"], first[None]), dense.apply(own["support"], tokens)])
    mask = jnp.concatenate([jnp.ones(1, bool), support.mask])
    read = transformer.dropped(next(keys), jnp.where(mask[:, None], read, 0), rate)
    alike, states = _alike(rows, rows, first=True), [read]
    for i in range(len(own["blocks"])):
        read = transformer.apply(own["blocks"][f"block_{i}"], read, read, mask, alike, keys, rate)
        states.append(read)
    drop = None if key is None else jax.random.fold_in(key, 1)
    return Seen(fit, user, transformer.Read(tuple(states), mask), rows, params, context, support, drop)


def correct(spec: DataSpec, model: Model, rate: float, fast: Seen, query: Query) -> Any:
    """The corrected distribution of each row's label: log-shares of the levels, or mean and variance of a normal."""
    rows = read_rows(spec, model, fast.params, fast.context, fast.support, fast.fit, fast.user, query.x)
    own, keys = fast.params["context"], _keys(fast.drop, len(fast.params["context"]["blocks"]))
    read = dense.apply(own["query"], query_numbers(spec, fast.fit, rows))
    read = transformer.dropped(next(keys), read, rate)
    alike = _alike(rows, fast.rows)
    for i in range(len(own["blocks"])):
        block = own["blocks"][f"block_{i}"]
        read = transformer.apply(block, read, fast.read.rows[i], fast.read.mask, alike, keys, rate)
    found = transformer.feed(own["decoder"], transformer.norm(own["norm"], read))
    return corrected_base(spec, rows.predicted, jnp.where(fast.support.mask.any(), found, 0))


def corrected_base(spec: DataSpec, base: Predictive, correction: Float[Array, "n o"]) -> Any:
    """Correct the base's prediction: the logits of the levels, or the mean and the log-variance of a normal."""
    if spec.discrete:
        return jax.nn.log_softmax(levels.of_normal(base.mean, base.variance, spec.levels) + correction)
    half = (spec.high - spec.low) / 2
    return base.mean + half * correction[:, 0], base.variance * jnp.exp(correction[:, 1])


def expected_label(spec: DataSpec, found: Any) -> Float[Array, "n"]:
    """The mean of a distribution from `correct`."""
    return levels.mean_level(found, spec.levels) if spec.discrete else found[0]


def surprise(spec: DataSpec, found: Any, label: Float[Array, "n"]) -> Float[Array, "n"]:
    """The negative log-likelihood of each label; of a normal without its constant."""
    if spec.discrete:
        return -levels.log_likelihood(found, label, spec.levels)
    mean, variance = found
    return (jnp.log(variance) + jnp.square(mean - label) / variance) / 2


def _alike(rows: Rows, others: Rows, *, first: bool = False) -> Float[Array, "2 n m+1"]:
    """Cosines of rows to the support's, by vectors and by features; 0 to the user's row, which is the first."""
    both = jnp.stack([transformer.alike(getattr(rows, of), getattr(others, of)) for of in ("loading", "features")])
    return jnp.pad(both, ((0, 0), (int(first), 0), (1, 0)))


def _keys(key: PRNGKeyArray | None, blocks: int) -> Iterator[PRNGKeyArray | None]:
    number = 2 * blocks + 1
    return iter([None] * number if key is None else jax.random.split(key, number))
