"""Joint training without adaptation: the control that every meta-learner must beat."""

from __future__ import annotations

from recmeta.learners.adaptation.episode import Adapted, pooled_gradient, score_query
from recmeta.types import DataSpec, Learner, Model, Objective


def joint(*, spec: DataSpec, model: Model, objective: Objective) -> Learner:
    """Train on all rows of all tasks at once; at test, use the parameters as they are.

    The support is used only by an encoder that reads it.

    Args:
        spec, model, objective: given by recmeta.
    """
    del spec

    def adapt(params, context, support, depth=None) -> Adapted:
        del depth
        return Adapted(params, context, support)

    return Learner(model.init, adapt, score_query(model), pooled_gradient(model, objective), 0)
