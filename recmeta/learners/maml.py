"""MAML: learn an initialisation from which a few gradient steps on the support do well on the query."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt

from recmeta.learners.adaptation import adapters
from recmeta.learners.adaptation import inner as inner_loop
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
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Learn the initialisation by the gradient of the query loss through the inner loop.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps on the support.
        inner_rate: their size.
        first_order: leave out the second derivatives (FOMAML).
        adapts: which part; see `adapters.Adapts`. "head" is the scorer: MeLU's decision layers.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Finn et al., Model-agnostic meta-learning, ICML 2017, algorithm 1 and section 5.2; Lee et al., MeLU,
    KDD 2019.
    """
    del spec
    inner = inner_loop.settled(inner, first_order=first_order)
    model, adapting = adapters.fitted(model, adapts)

    def adapt(params, context, support, depth=None) -> Adapted:
        fast = inner_loop.adapt(
            model, objective, params, context, support, inner, adapts=adapting, steps=inner_steps, rate=inner_rate,
            depth=depth,
        )  # fmt: skip
        return Adapted(inner_loop.with_fast(params, fast), context, support)

    predict = score_query(model)
    departs = adapters.departures(adapts, of="all") + ((("learner.first_order", "first order"),) if first_order else ())
    meta_grad = query_gradient(adapt, predict, objective)
    return Learner(model.init, adapt, predict, meta_grad, inner_steps, departs=departs)
