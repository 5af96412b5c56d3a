"""MAML: learn an initialisation from which a few gradient steps on the support do well on the query."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt

from recmeta.learners.adaptation import adapters, inner, kernels
from recmeta.learners.adaptation.episode import Adapted, query_gradient, score_query
from recmeta.types import DataSpec, Learner, Model, Objective, Traced


def maml(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    inner_steps: Annotated[int, Ge(0)],
    inner_rate: Annotated[float, Gt(0), Traced],
    first_order: bool,
    adapts: adapters.Adapts,
    inner_optimizer: inner.InnerOptimizer = None,
    clip: Annotated[float, Gt(0), Traced] | None = None,
    fast_weights: kernels.FastWeights = "auto",
    truncate: Annotated[int, Ge(0)] | None = None,
    remat: bool = False,
) -> Learner:
    """Learn the initialisation by the gradient of the query loss through the inner loop.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps on the support.
        inner_rate: their size.
        first_order: leave out the second derivatives (FOMAML).
        adapts: which part; see `adapters.Adapts`. "head" is the scorer: MeLU's decision layers.
        inner_optimizer: which directions the steps take; see `inner.InnerOptimizer`.
        clip: the norm above which a step's gradient is made shorter.
        fast_weights: how a task holds the matrices that adapt; see `kernels.FastWeights`.
        truncate: take second derivatives in so many of the last steps alone; see `inner.Loop`.
        remat: trade time for memory; see `inner.Loop`.

    Reference: Finn et al., Model-agnostic meta-learning, ICML 2017, algorithm 1 and section 5.2; Lee et al., MeLU,
    KDD 2019.
    """
    del spec
    truncate = inner.truncation(first_order, truncate)
    model, adapting = adapters.fitted(model, adapts)
    inner.check(fast_weights, inner_optimizer, clip)

    def adapt(params, context, support, depth=None) -> Adapted:
        fast = inner.adapt(
            model, objective, params, context, support, adapts=adapting, steps=inner_steps, rate=inner_rate,
            optimizer=inner_optimizer, clip=clip, remat=remat, fast_weights=fast_weights, depth=depth,
            truncate=truncate,
        )  # fmt: skip
        return Adapted(inner.with_fast(params, fast), context, support)

    predict = score_query(model)
    return Learner(model.init, adapt, predict, query_gradient(adapt, predict, objective), inner_steps)
