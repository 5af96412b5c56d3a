"""Joint training, then gradient steps on the support at test: MAML without meta-learning."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, Gt

from recmeta.learners.adaptation import adapters
from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import Adapted, pooled_gradient, score_query
from recmeta.types import DataSpec, Learner, Model, Objective, Traced


def finetune(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    inner_steps: Annotated[int, Ge(0)],
    inner_rate: Annotated[float, Gt(0), Traced],
    adapts: adapters.Adapts,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Train as `joint` does, and adapt as `maml` does with the same budget of steps: the control of the outer loop.

    In training all parameters descend the loss of all rows, whether they adapt at test or not. An adapter that
    ``adapts`` adds to the model ("lora", "film", "user_embedding") is trained along with the rest, as more parameters
    that all tasks share; at test it starts from its trained value.

    The checkpoint is chosen by meta-validation after adaptation, as every learner's is.

    Args:
        spec, model, objective: given by recmeta.
        inner_steps: gradient steps on the support, at test.
        inner_rate: their size.
        adapts: which part; see `adapters.Adapts`.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Chen et al., A closer look at few-shot classification, ICLR 2019, section 3.2 (the baseline).
    """
    del spec
    inner = inner_loop.settled(inner, unused=inner_loop.NO_DERIVATIVE)
    model, adapting = adapters.fitted(model, adapts)

    def adapt(params, context, support, depth=None) -> Adapted:
        fast = inner_loop.adapt(
            model, objective, params, context, support, inner, adapts=adapting, steps=inner_steps, rate=inner_rate,
            depth=depth,
        )  # fmt: skip
        return Adapted(inner_loop.with_fast(params, fast), context, support)

    return Learner(model.init, adapt, score_query(model), pooled_gradient(model, objective), inner_steps)
