"""The inner loop of every gradient-based learner: which parameters adapt, on which loss, by how many steps."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from types import MappingProxyType
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import optax
from annotated_types import Ge, Gt
from jaxtyping import Array, Bool

from recmeta.learners.adaptation import kernels, tables
from recmeta.models.probe import touched
from recmeta.types import Encoding, Features, Model, Objective, Params, Support, Traced, UserError

Adapts = Literal["head", "body", "all", "bias", "norm", "film", "lora", "user_embedding", "prompt"]
"""Which parameters the inner loop changes: the scorer; all that comes before it; everything; every bias; the scale and
bias of every normalisation; one of three kinds of adapter (`recmeta.learners.adaptation.adapters`); or the rows that an
encoder reads before the support."""

CHOOSES: Mapping[str, Callable[[tuple[str, ...]], bool]] = MappingProxyType(
    {
        "head": lambda path: path[0] == "scorer",
        "body": lambda path: path[0] != "scorer",
        "all": lambda path: True,
        "bias": lambda path: path[-1] == "bias",
        "norm": lambda path: "norm" in path,
        **dict.fromkeys(("film", "lora", "user_embedding"), lambda path: "adapters" in path),
        "prompt": lambda path: path[-1] == "prompt",
    }
)
"""For each choice, whether the parameter at a path adapts."""

HAS = MappingProxyType({"norm": "scorer=mlp scorer.norm=true", "prompt": "encoder=gru encoder.prompt=4"})
"""For what not every model has, one that does."""


InnerOptimizer = Callable[[float], optax.GradientTransformation] | None
"""An optax optimizer that lacks but its learning rate, by which its update is multiplied at last; None: descent.

One that divides by a root of the gradient's square, such as Adam, has no derivative where the gradient is zero unless
its ``eps_root`` is above 0.
"""

Rates = float | Callable[[Array], Params]
"""A step size; or, for each step's number, one per parameter that adapts: a number, or an array of its shape."""


class Inner(NamedTuple):
    """The settings that all inner loops share: the block `learner.inner`.

    Attributes:
        optimizer: which directions the steps take; see `InnerOptimizer`.
        clip: the norm above which a step's gradient is scaled down to it; None: never.
        fast_weights: how a task holds the matrices that adapt; see `kernels.FastWeights`. Factors need plain descent:
            neither ``optimizer`` nor ``clip``.
        truncate: take second derivatives in so many of the last steps alone; to the outer gradient, the gradients of
            those before are constants. None: in all; 0: in none, which is first order.
        remat: keep no step's intermediate values for the derivative, but compute them anew: less memory for many steps,
            more time.
    """

    optimizer: InnerOptimizer = None
    clip: Annotated[float, Gt(0), Traced] | None = None
    fast_weights: kernels.FastWeights = "auto"
    truncate: Annotated[int, Ge(0)] | None = None
    remat: bool = False


PLAIN = Inner()
"""Plain descent, differentiated through all steps."""


class Descent(NamedTuple):
    """The loss and the start of an inner loop.

    Attributes:
        loss: of what adapts, on the support; all else is closed over. A second argument ``[K]`` says which rows count.
        start: what adapts as it is before the first step; of tables, the changes of the rows that are looked up.
        finish: what adapts to what `with_fast` takes: changes of rows with the rows they are of.
        align: what there is one of per parameter to one per entry of ``start``: of tables, the rows that are looked up.
    """

    loss: Callable[..., Array]
    start: Params
    finish: Callable[[Params], Params]
    align: Callable[[Params], Params]


def adapt(
    model: Model, objective: Objective, params: Params, context: Features, support: Support, settings: Inner = PLAIN, *,
    adapts: Adapts, steps: int, rate: Rates, depth: int | Array | None = None, path: bool = False,
    rows: Bool[Array, "steps K"] | None = None,
) -> Params:  # fmt: skip
    """Descend the support loss from the meta-parameters.

    Args:
        model, objective: what is adapted, and on which loss.
        params: where from.
        context, support: one task.
        settings: of the loop; fast weights are held in factors in plain descent alone.
        adapts: see `Adapts`.
        steps, rate, depth: see `descend`.
        path: return where each step ends, with a leading axis, and not the last alone.
        rows: which support rows the loss of each step is of; None: all of them, in every step.

    Returns:
        The parts that adapt, after the descent, with `tables.Changes` in the place of tables, and `kernels.Factors`
        in that of matrices held so; `with_fast` puts them into the others' midst.

    Reference: Finn et al., Model-agnostic meta-learning, ICML 2017, equation 1.
    """
    loss, start, finish, align = support_descent(model, objective, params, context, support, adapts)
    if not steps and not path:
        return finish(start)
    rates = (lambda number: align(rate(number))) if callable(rate) else rate
    plain = settings.optimizer is None and settings.clip is None
    gradient, start, place = kernels.factor(
        loss, start, model.kernels, steps=steps, constant=constant_steps(settings, steps),
        choice=settings.fast_weights if plain else "dense",
    )  # fmt: skip
    varying = () if rows is None else (rows,)
    end, each = descend(gradient, start, settings, steps=steps, rate=rates, depth=depth, varying=varying)
    whole = lambda fast: finish(place(fast))  # noqa: E731
    return jax.vmap(whole)(each) if path else whole(end)


def settled(settings: Inner, *, first_order: bool = False, unused: Mapping[str, str] = MappingProxyType({})) -> Inner:
    """Check the settings of an inner loop, and set first order as truncation at 0.

    Args:
        settings: as they are set.
        first_order: take no second derivatives.
        unused: settings that a learner has no use for, and why: `VECTOR`, `RATES`, `NO_DERIVATIVE`.

    Raises:
        UserError: for a setting that changes nothing; for factors where the steps are not plain descent, so that a
            change is of any rank, or its norm is asked for; where first order leaves nothing to truncate.
    """
    for name, why in unused.items():
        value, default = getattr(settings, name), getattr(PLAIN, name)
        if value not in (default, "dense"):
            left = {None: "null", False: "false"}.get(default, default)
            raise UserError(f"learner.inner.{name}={value}: {why}; leave it {left}")
    if settings.fast_weights == "factored" and (settings.optimizer is not None or settings.clip is not None):
        other = "optimizer" if settings.optimizer is not None else "clip"
        raise UserError(
            f"learner.inner.fast_weights=factored needs plain descent: leave learner.inner.{other} null, or take auto "
            "or dense"
        )
    if first_order and settings.truncate is not None:
        raise UserError(
            f"learner.inner.truncate={settings.truncate} needs learner.first_order=false: first order is truncate=0"
        )
    return settings._replace(truncate=0) if first_order else settings


VECTOR: Mapping[str, str] = MappingProxyType(
    {"fast_weights": "what adapts is no matrix of the model that could be held in factors"}
)
RATES: Mapping[str, str] = MappingProxyType(
    {"fast_weights": "what each number's gradient is multiplied by leaves no factors"}
)
NO_DERIVATIVE: Mapping[str, str] = MappingProxyType(
    dict.fromkeys(("truncate", "remat"), "no gradient is taken through this learner's inner loop")
)
"""Settings of `Inner` that some learners have no use for, and why."""


def support_descent(
    model: Model, objective: Objective, params: Params, context: Features, support: Support, adapts: Adapts
) -> Descent:
    """One task's descent. For the arguments see `adapt`.

    Where nothing before the scorer adapts, the support is encoded once, outside the loop. Of tables, only the rows that
    the support looks up adapt; no other row has a gradient.
    """
    start = chosen(params, adapts)

    def loss(params: Params, encoding: Encoding, where: Array = support.mask) -> Array:
        return objective.loss(model.score(params, encoding), support.y, where)

    if set(start) <= {"scorer"}:
        encoding = model.encode(params, context, support, None)
        same = lambda tree: tree  # noqa: E731
        return Descent(lambda fast, *where: loss(with_fast(params, fast), encoding, *where), start, same, same)

    rows = touched(model, params, context, support) if "tables" in start else {}

    def finish(fast: Params) -> Params:
        return fast | {"tables": jax.tree.map(tables.Changes, rows, fast["tables"])} if rows else fast

    def align(tree: Params) -> Params:
        looked_up = partial(jax.tree.map, lambda entry, rows: entry[rows] if jnp.ndim(entry) else entry)
        return tree | {"tables": looked_up(tree["tables"], rows)} if rows else tree

    def encoded_loss(fast: Params, *where: Array) -> Array:
        adapted = with_fast(params, finish(fast))
        return loss(adapted, model.encode(adapted, context, support, None), *where)

    changes = {"tables": tables.no_change(params["tables"], rows)} if rows else {}
    return Descent(encoded_loss, start | changes, finish, align)


def chosen(params: Params, adapts: Adapts) -> Params:
    """The parameters that adapt, alone, each at its path.

    Raises:
        UserError: where there are none.
    """

    def within(part: Mapping[str, Any], path: tuple[str, ...]) -> Params:
        taken = {}
        for name, value in part.items():
            here = (*path, name)
            if isinstance(value, dict):
                # A part in which nothing adapts is left out, so that what is left says what adapts.
                taken |= {name: inside} if (inside := within(value, here)) else {}
            elif CHOOSES[adapts](here):
                taken[name] = value
        return taken

    found = within(params, ())
    if not found:
        where = f"; {HAS[adapts]} has" if adapts in HAS else ""
        raise UserError(f"learner.adapts={adapts}: this encoder and scorer have no such parameter{where}")
    return found


def with_fast(params: Params, fast: Params) -> Params:
    """All parameters, those that adapted in the place of the others, changes of tables laid over them."""

    def merged(whole: Any, part: Any) -> Any:
        if isinstance(part, dict):
            return whole | {name: merged(whole[name], value) for name, value in part.items()}
        if isinstance(part, kernels.Factors):
            return kernels.Corrected(whole, part)
        return tables.lay_over(whole, part) if isinstance(part, tables.Changes) else part

    return merged(params, fast)


def descend(
    gradient: Callable[..., Params], start: Params, settings: Inner = PLAIN, *, steps: int, rate: Rates,
    depth: int | Array | None = None, varying: Sequence[Array] = (),
) -> tuple[Params, Params]:  # fmt: skip
    """Go down a loss by gradient steps; differentiable.

    A step whose gradient is a constant hands the derivative on as it is: with ``truncate`` the start of the descent is
    differentiated as where the last steps begin. The paper's truncated derivative takes that point, whole, for a
    constant, and so has none in the start, which here is what is learned.

    Args:
        gradient: the loss's, where the descent is.
        start: where from.
        settings: of the loop; its ``fast_weights`` are `adapt`'s affair.
        steps: how many; 0: the model stays as it is.
        rate: their size.
        depth: how many of them to take; None for all.
        varying: further arguments of the gradient, with a leading axis of steps, each of which is given its own.

    Returns:
        Where it ends, and where each step ended, ``[steps, ...]``: at no cost to whom makes no use of it.

    Reference: Shaban et al., Truncated back-propagation for bilevel optimization, AISTATS 2019.
    """
    if not steps:
        return start, jax.tree.map(lambda leaf: leaf[None][:0], start)
    clip, constant = settings.clip, constant_steps(settings, steps)
    # Its own step size is left at 1, to be multiplied by the rate, which may be a tree and differs by step.
    optimizer = (settings.optimizer or _descent)(1.0)
    trees = partial(jax.tree.map, is_leaf=kernels.is_factors)

    def step(of_first_order: bool, state: tuple[Params, Any], number: Array) -> tuple[tuple[Params, Any], Params]:
        fast, memory = state
        slope = gradient(fast, *(values[number] for values in varying))
        if clip is not None:
            slope = clipped(slope, clip)
        if of_first_order:
            slope = jax.lax.stop_gradient(slope)
        direction, memory = optimizer.update(slope, memory, fast)
        rates = rate(number) if callable(rate) else trees(lambda _: rate, fast)
        if depth is not None:
            taken = number < jnp.asarray(depth)
            rates = jax.tree.map(lambda size: jnp.where(taken, size, 0.0), rates)
        moved = trees(lambda at, way, size: kernels.plus(at, kernels.scaled(way, size), number), fast, direction, rates)
        # Under JAX_ENABLE_X64 Flax's parameters are single and rates double: a loop keeps the types it begins with.
        moved = jax.tree.map(lambda new, old: jnp.asarray(new, old.dtype), moved, fast)
        return (moved, memory), moved

    def walk(of_first_order: bool, state: tuple[Params, Any], numbers: Array) -> tuple[tuple[Params, Any], Params]:
        one = partial(step, of_first_order)
        return jax.lax.scan(jax.checkpoint(one, prevent_cse=False) if settings.remat else one, state, numbers)

    state, numbers = (start, optimizer.init(start)), jnp.arange(steps)
    if constant in (0, steps):
        (end, _), each = walk(constant > 0, state, numbers)
        return end, each
    state, early = walk(True, state, numbers[:constant])
    (end, _), late = walk(False, state, numbers[constant:])
    return end, jax.tree.map(lambda *parts: jnp.concatenate(parts), early, late)


def constant_steps(settings: Inner, steps: int) -> int:
    """Count the first steps whose gradients are constants to the outer gradient."""
    return 0 if settings.truncate is None else max(steps - settings.truncate, 0)


def _descent(learning_rate: float) -> optax.GradientTransformation:
    """Optax's descent, for trees that hold factors too."""

    def update(gradient: Params, state: Any, params: Any = None) -> tuple[Params, Any]:
        del params
        scale = partial(kernels.scaled, size=-learning_rate)
        return jax.tree.map(scale, gradient, is_leaf=kernels.is_factors), state

    return optax.GradientTransformation(lambda params: optax.EmptyState(), update)  # pyright: ignore[reportArgumentType]


def clipped(gradient: Params, norm: float) -> Params:
    """The gradient, made shorter where its norm is above a bound.

    Not optax's: its derivative is not a number where the gradient is zero, as it is for a task without support.
    """
    square = sum(jnp.sum(jnp.square(leaf)) for leaf in jax.tree.leaves(gradient))
    return jax.tree.map(lambda leaf: leaf * norm / jnp.sqrt(jnp.maximum(square, norm**2)), gradient)
