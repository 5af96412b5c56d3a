"""Content alone, without support or ids: the control of methods that adapt or memorise."""

from __future__ import annotations

import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import Adapted, mean_gradient, pool, score_query
from recmeta.learners.dropoutnet import without_ids
from recmeta.types import Batch, DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Task, UserError


def zero_shot(*, spec: DataSpec, model: Model, objective: Objective) -> Learner:
    """Score rows from the features of the task's entity and of the row only.

    Trained on all rows of all tasks at once, as `joint` is, but every id is unknown in training and at test, and the
    support is masked, so that an encoder that reads it finds it empty. A learner's gain over this comes from memorising
    items by their ids and from the support; `joint` has the first of these alone.

    Args:
        spec, model, objective: given by recmeta.

    Raises:
        UserError: neither side has a feature besides its id: all predictions would be one number.

    Reference: the content-based control of Schein et al., Methods and metrics for cold-start recommendations, SIGIR
    2002 — with this framework's model in place of naive Bayes.
    """
    if not [field for field in (*spec.context, *spec.row) if field.name != "id"]:
        raise UserError(
            "learner=zero_shot: it scores by features, and this data set has none but ids; "
            "declare some, or choose learner=joint"
        )

    score = score_query(model)

    def adapt(params, context, support, depth=None) -> Adapted:
        del depth
        return Adapted(params, blind(context), unseen(support))

    def predict(fast: Adapted, query: Query) -> Float[Array, "n"]:
        return score(fast, query._replace(x=blind(query.x)))

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        del key

        def one(params: Params, task: Task, label: Array) -> Array:
            rows = pool(task, label)
            fast = adapt(params, task.context, task.support)
            return objective.loss(predict(fast, Query(rows.x, rows.mask)), rows.y, rows.mask)

        return mean_gradient(one, params, batch)

    return Learner(model.init, adapt, predict, meta_grad, 0)


def unseen(support: Support) -> Support:
    """Mask all rows of the support."""
    return support._replace(mask=jnp.zeros_like(support.mask))


def blind(x: Features) -> Features:
    """Features without the id."""
    return without_ids(x, jnp.array(False))
