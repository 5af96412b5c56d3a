"""In-context correction of a closed form: a transformer reads the support, and corrects a predictive distribution.

A base that is fitted in closed form predicts a distribution of each label, given the support: the factor model, or
biases alone. A transformer reads the support's rows, each with its label, what the base leaves of it and how sure the
base was; query rows attend to them, more to items that are alike; and what comes out is added to the logits of the
base's distribution over the label's levels. It is zero at first, so that training begins at the base, and zero without
support, where the prediction is the base's. Adaptation is one forward pass: the field's names are amortised inference,
neural processes, prior-data fitted networks.

What is read of an item (its vector and bias, the labels that it has had) is cross-fitted (`recmeta.fitted.folds`): a
meta-train task reads what was fitted without its own fold's labels, as test tasks do.

Trained by cross entropy over the levels, plus ``squared`` times the squared error of the mean, whatever the objective.
Of labels with more than a few values it corrects mean and variance of a normal instead. A ranking is by the mean.

Changed from the papers: the base, whose logits are corrected; cross-fitting; attention that knows which items are
alike.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Lt
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.fitted import factor_model
from recmeta.fitted.factor_model import Folding, Predictive, User
from recmeta.fitted.folds import CrossFit, CrossFitted, own_fold
from recmeta.fitted.label_counts import LabelCounts, count_labels
from recmeta.fitted.rows import catalogue
from recmeta.learners.adaptation.episode import mean_gradient, unless_shallow, visits
from recmeta.learners.blocks import dense, transformer
from recmeta.learners.zero_shot import blind, unseen
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
    Problem,
    Query,
    Support,
    UserError,
)

Base = Literal["factor_model", "user_item_bias"]

MOST_ROWS = 20
"""Support rows by which their number is measured."""


class Fits(NamedTuple):
    """What is fitted to meta-train: the base, and the labels of each item."""

    base: Folding
    counts: LabelCounts


class Rows(NamedTuple):
    """Rows of items, as the transformer reads them.

    Attributes:
        tokens: all numbers about each.
        loading, features: what tells how alike two of them are.
        predicted: by the base.
    """

    tokens: Float[Array, "n t"]
    loading: Float[Array, "n d"]
    features: Float[Array, "n e"]
    predicted: Predictive


class Seen(NamedTuple):
    """A support that has been read, with the parameters needed to score a query.

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


def prepare(problem: Problem, *, base: Base, rank: int) -> Callable[[Problem], Fits]:
    """Fits to parts of meta-train: all begin at the same vectors, which no label has a part in.

    Args:
        problem: all of meta-train.
        base: biases alone, or the factor model.
        rank: of the factor model.
    """
    items = catalogue(problem)
    featured = base == "factor_model"
    start = factor_model.start_without_labels(problem, items, rank if featured else 0)

    def fit(problem: Problem) -> Fits:
        fitted = factor_model.fit_factor_model(problem, items, start, features=featured)
        return Fits(fitted, count_labels(problem, items))

    return fit


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
    squared: Annotated[float, Ge(0)],
) -> Learner:
    """Correct a closed form's predictive distribution by a transformer over the support.

    Args:
        spec, model, objective, cross_fit: given by recmeta.
        base: what is corrected: the factor model, or user and item biases.
        rank: length of the factor model's vectors.
        width: of the transformer's rows, a multiple of ``heads``.
        heads: of its attention.
        blocks: number of its blocks; with 0 a query row sees the support through the base alone.
        dropout: share of numbers dropped in training.
        squared: weight of the squared error, in units of the label's variance, beside the cross entropy.

    Raises:
        UserError: where the width can't be dealt out to the heads.

    Reference: Hollmann et al., TabPFN, ICLR 2023, and Müller et al., Transformers can do Bayesian inference, ICLR 2022
    (in-context prediction); Kim et al., Attentive neural processes, ICLR 2019; the base is that of
    `recmeta.baselines.factor_model`.
    """
    if width % heads:
        raise UserError(f"learner.width={width} must be a multiple of learner.heads={heads}")
    fitted = cross_fit(partial(prepare, base=base, rank=rank))
    reader = partial(read_support, spec, model, fitted, dropout)
    output = len(spec.levels) if spec.few_levels else 2

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
            lost = loss(spec, squared, corrected(fast, task.query), label)
            return masked_mean(lost, task.query.mask, visit.weight)

        return mean_gradient(one, params, batch, visits(batch, key))

    def shrink(params: Params, share: Array) -> Params:
        own = params["context"]
        last = jax.tree.map(lambda values: share * values, own["decoder"]["layer_1"])
        return params | {"context": own | {"decoder": own["decoder"] | {"layer_1": last}}}

    return Learner(
        init, adapt, predict, meta_grad, 1, ignores=("objective",),
        distribution=corrected if spec.few_levels else None, shrink=shrink,
    )  # fmt: skip


# --- what is read -------------------------------------------------------------------------------------------------


def own_fits(fitted: CrossFitted, which: Array) -> Fits:
    """The fits that a task reads: of the item counts, too, rows say which, see `factor_model.item_row`."""
    return Fits(factor_model.fit_of(fitted.fits.base, which), jax.tree.map(factor_model.joined, fitted.fits.counts))


def token_sizes(spec: DataSpec, widths: tuple[int, int], rank: int) -> dict[str, int]:
    """How many numbers are read of the user, of a support row, and of a query row."""
    context, row = widths
    number = len(spec.levels)
    item = rank + 5 + number + row
    return {"user": 2 * rank + number + context + 5, "support": item + number + 5, "query": item + number + 3}


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


def item_numbers(fit: Fits, x: Features, item: factor_model.Items, scale: Array, spec: DataSpec) -> Float[Array, "n t"]:
    """What is known of each row's item: vector, bias and their doubt, and the labels that it has had."""
    row = factor_model.item_row(fit.base, x)
    counts = jax.tree.map(lambda values: values[row], fit.counts)
    half = (spec.high - spec.low) / 2
    doubt = jnp.trace(item.cov, axis1=1, axis2=2) / (scale**2 * item.loading.shape[1])
    numbers = [item.level / half, doubt, (counts.mean - fit.base.mean) / half, counts.spread / half]
    numbers += [jnp.log1p(counts.rows) / 4]
    return jnp.concatenate([item.loading / scale, jnp.stack(numbers, axis=1), counts.shares], axis=1)


def read_rows(
    spec: DataSpec,
    model: Model,
    params: Params,
    context: Features,
    support: Support,
    fit: Fits,
    user: User,
    x: Features,
) -> Rows:
    """What is known of rows before their labels are: the item, its features, and what the base predicts."""
    item = factor_model.moments(fit.base, x)
    scale = jnp.sqrt(jnp.square(fit.base.loading[1:]).mean() + 1e-12)
    features = model.encode(params, blind(context), unseen(support), blind(x)).row
    predicted = factor_model.predict(fit.base, user, item)
    tokens = jnp.concatenate([item_numbers(fit, x, item, scale, spec), features], axis=1)
    return Rows(tokens, item.loading, features, predicted)


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
    found = _decode(own["decoder"], transformer.norm(own["norm"], read))
    return corrected_base(spec, rows.predicted, jnp.where(fast.support.mask.any(), found, 0))


def corrected_base(spec: DataSpec, base: Predictive, correction: Float[Array, "n o"]) -> Any:
    """Correct what the base predicts: the logits of the levels, or the mean and the log-variance of a normal."""
    if spec.few_levels:
        return jax.nn.log_softmax(levels.of_normal(base.mean, base.variance, spec.levels) + correction)
    half = (spec.high - spec.low) / 2
    return base.mean + half * correction[:, 0], base.variance * jnp.exp(correction[:, 1])


def _decode(layers: Params, rows: Array) -> Array:
    return dense.linear(layers["layer_1"], jax.nn.gelu(dense.linear(layers["layer_0"], rows)))


def expected_label(spec: DataSpec, found: Any) -> Float[Array, "n"]:
    """The mean of what `correct` returns."""
    return levels.mean_level(found, spec.levels) if spec.few_levels else found[0]


def loss(spec: DataSpec, squared: float, found: Any, label: Float[Array, "n"]) -> Float[Array, "n"]:
    """Negative log-likelihood of each label, plus the weighted squared error of the mean."""
    error = jnp.square(expected_label(spec, found) - label)
    if spec.few_levels:
        return squared * error - levels.log_likelihood(found, label, spec.levels)
    return squared * error + (jnp.log(found[1]) + error / found[1]) / 2


def label_numbers(
    spec: DataSpec, support: Support, level: Array, predicted: Predictive, fit: Fits
) -> Float[Array, "K t"]:
    """What is known of support rows with their labels: label, what the base leaves of it, how sure the base was."""
    half = (spec.high - spec.low) / 2
    left = support.y - predicted.mean
    # Of a linear model, what is left of a row when it is predicted from the others.
    others = left * (1 + predicted.doubt)
    above = support.y - fit.base.mean - level
    numbers = jnp.stack([left / half, others / half, above / half, predicted.doubt, jnp.log(predicted.variance) / 2], 1)
    return jnp.concatenate([levels.nearest_level(support.y, spec.levels), numbers], axis=1)


def query_numbers(spec: DataSpec, fit: Fits, rows: Rows) -> Float[Array, "n t"]:
    """What is known of query rows: their items, and the distribution that the base predicts."""
    mean, variance, doubt = rows.predicted
    shares = jnp.exp(levels.of_normal(mean, variance, spec.levels))
    numbers = [(mean - fit.base.mean) / ((spec.high - spec.low) / 2), jnp.log(variance) / 2, doubt]
    return jnp.concatenate([rows.tokens, shares, jnp.stack(numbers, axis=1)], axis=1)


def user_numbers(
    spec: DataSpec, model: Model, params: Params, context: Features, support: Support, fit: Fits, user: User, rows: Rows
) -> Float[Array, "t"]:
    """What is known of the user: prior and posterior under the base, features, and the labels given."""
    mask, half = support.mask, (spec.high - spec.low) / 2
    mean = partial(masked_mean, mask=mask)
    there = mask.sum()
    shares = jax.vmap(mean, 1)(levels.nearest_level(support.y, spec.levels))
    left = support.y - rows.predicted.mean
    numbers = [mean(support.y - fit.base.mean) / half, mean(left) / half, mean(jnp.square(left / half))]
    numbers += [there / MOST_ROWS, jnp.log1p(there) / 3]
    features = model.encode(params, blind(context), unseen(support), support.x).context[0]
    prior = factor_model.prior_mean(fit.base, context)
    return jnp.concatenate([user.mean, prior, shares, features, jnp.stack(numbers)])


def _alike(rows: Rows, others: Rows, *, first: bool = False) -> Float[Array, "2 n m+1"]:
    """How alike rows are to the support's: by vectors, by features; 0 to the user's row, which stands first."""
    both = jnp.stack([transformer.alike(getattr(rows, of), getattr(others, of)) for of in ("loading", "features")])
    return jnp.pad(both, ((0, 0), (int(first), 0), (1, 0)))


def _keys(key: PRNGKeyArray | None, blocks: int) -> Iterator[PRNGKeyArray | None]:
    number = 2 * blocks + 1
    return iter([None] * number if key is None else jax.random.split(key, number))
