"""Meta-Embedding: generate the embedding of a new entity from its content, then take gradient steps.

With ``protocol.task=item`` the entity is a new item, as in the paper; it may as well be a new user. Its embedding
starts as ``generator(context)``, and it alone takes gradient steps on the support; everything else is shared. The loss
is ``cold_weight`` times the loss on the support before the steps, plus the remaining weight times the loss on the query
after them.

Changed from the paper: it trains the model first, on old items with embeddings of their own, and then the generator
alone; here all is trained together (for the paper's phases see ``start`` and ``freeze``). Its generator has one layer,
here the number is a setting. Its embedding is concatenated with the other features; here it is added to the context's
representation through a map of its own, as in `cavia`. Where an encoder reads the support, each row has a context of
its own: the difference to the generator's output adapts.
"""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Le
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation import inner as inner_loop
from recmeta.learners.adaptation.episode import Visit, mean_gradient, query_loss, visits, with_vector
from recmeta.learners.blocks import dense
from recmeta.learners.cavia import Placed
from recmeta.types import Batch, DataSpec, Encoding, Learner, Model, Objective, Params, Query, Task, Traced


# Long: ten settings, and a loss of two phases that share the generator.
def meta_embedding(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    width: Annotated[int, Ge(1)],
    hidden: dense.Hidden,
    cold_weight: Annotated[float, Ge(0), Le(1), Traced],
    inner_steps: Annotated[int, Ge(0)],
    inner_rate: Annotated[float, Gt(0), Traced],
    first_order: bool,
    inner: inner_loop.Inner = inner_loop.PLAIN,
) -> Learner:
    """Generate an embedding for the task's entity from its features, good at once and quick to warm up.

    Args:
        spec, model, objective: given by recmeta.
        width: of the embedding.
        hidden: widths of the generator's hidden layers.
        cold_weight: the paper's alpha.
        inner_steps: gradient steps on the support; the paper trains with one.
        inner_rate: their size.
        first_order: leave out the second derivatives.
        inner: how the steps go; see `recmeta.learners.adaptation.inner.Inner`.

    Reference: Pan et al., Warm up cold-start advertisements: improving CTR predictions via learning to learn ID
    embeddings, SIGIR 2019, section 3 and algorithm 1.
    """
    del spec
    inner = inner_loop.settled(inner, first_order=first_order, unused=inner_loop.VECTOR)
    content = model.widths[0]

    def init(key: PRNGKeyArray) -> Params:
        key_model, key_generator, key_map = jax.random.split(key, 3)
        generator = dense.init(key_generator, (content, *hidden, width), last=0.1)
        joins = jax.random.normal(key_map, (width, content)) / width**0.5
        return model.init(key_model) | {"embedding": {"generator": generator, "map": joins}}

    def score(params: Params, moved: Array, encoding: Encoding) -> Float[Array, "n"]:
        embedding = dense.apply(params["embedding"]["generator"], encoding.context) + moved
        return model.score(params, with_vector(encoding, embedding, params["embedding"]["map"]))

    def adapt(params, context, support, depth=None) -> Placed:
        encoding = model.encode(params, context, support, None)

        def loss(moved: Params) -> Array:
            return objective.loss(score(params, moved, encoding), support.y, support.mask)

        start = jnp.zeros(width, params["embedding"]["map"].dtype)
        moved, _ = inner_loop.descend(
            jax.grad(loss), start, inner, steps=inner_steps, rate=inner_rate, depth=depth,
        )  # fmt: skip
        return Placed(moved, params, context, support)

    def predict(fast: Placed, query: Query) -> Float[Array, "n"]:
        return score(fast.params, fast.vector, model.encode(fast.params, fast.context, fast.support, query.x))

    def episode(params: Params, task: Task, label: Array, visit: Visit) -> Array:
        fast = adapt(params, task.context, task.support)
        warm = query_loss(objective, predict, fast, task.query, label, visit)
        encoding = model.encode(params, task.context, task.support, None)
        as_generated = score(params, jnp.zeros_like(fast.vector), encoding)
        cold = objective.loss(as_generated, task.support.y, task.support.mask)
        return cold_weight * cold + (1 - cold_weight) * warm

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        return mean_gradient(episode, params, batch, visits(batch, key))

    return Learner(init, adapt, predict, meta_grad, inner_steps)
