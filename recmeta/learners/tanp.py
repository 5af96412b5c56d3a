"""TaNP: a neural process whose decoder is customised to the kind of task, by soft clusters of tasks.

The support determines two things, each by the mean of encodings of its labelled rows: a distribution of the latent z,
and a task embedding t. The distances of t to the global centres a_1 ... a_k give a soft assignment c (`assign`), and o
= t + sum_j c_j a_j modulates every hidden layer of the decoder, which reads the row beside z (`decode`):

    score(x) = scorer(x) + g(x, z; o) - g(x, z_0; o_0),    z_0 and o_0 being those of an empty support.

In training z is drawn given support and query together, and the loss is the mean over their rows, plus the divergence
of that distribution from the one given the support alone, plus the clustering loss over the batch (`clustering`). At
test z is the mean given the support.

Changed from the paper: the scorer gives the prediction without support, encoders read differences of labels to the
scorer's prediction, and their mean is shrunk, all as in `cnp`; a context and its targets are the protocol's support,
and support and query, not a new split of them at each visit. Changed from its published code: z is sampled there at
test too, so that two runs of one model differ; distances to centres are not squared there, as a Student's t has them;
and the sharpened assignment, the target of the clustering loss, is not held constant there.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt, Lt
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation.episode import Visit, pool, query_loss, unless_shallow, visits
from recmeta.learners.blocks import dense
from recmeta.learners.blocks.gaussian import Gaussian, divergence
from recmeta.types import Batch, DataSpec, Features, Learner, Model, Objective, Params, Query, Support, Task, Traced


class Code(NamedTuple):
    """Inputs of the decoder about a task: the latent variable, and the customised task embedding."""

    latent: Float[Array, "z"]
    embedding: Float[Array, "t"]


class Customised(NamedTuple):
    """The codes of one task and of an empty support, with the parameters needed to score a query."""

    own: Code
    none: Code
    params: Params
    context: Features
    support: Support
    key: PRNGKeyArray | None = None


# Long: fourteen settings, and a loss of its own whose terms share the support's encodings.
def tanp(
    *,
    spec: DataSpec,
    model: Model,
    objective: Objective,
    width: Annotated[int, Ge(1)],
    hidden: dense.Hidden,
    clusters: Annotated[int, Ge(1)],
    temperature: Annotated[float, Gt(0), Traced],
    modulation: Literal["film", "gated"],
    samples: Annotated[int, Ge(0)],
    kl_weight: Annotated[float, Ge(0), Traced],
    cluster_weight: Annotated[float, Ge(0), Traced],
    context_loss: bool = True,
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
) -> Learner:
    """Score a row by the scorer, plus the output of a decoder customised to the task.

    Args:
        spec, model, objective: given by recmeta.
        width: of the latent variable and of the task embedding.
        hidden: widths of the hidden layers of the encoders and of the decoder.
        clusters: number k of centres.
        temperature: degrees of freedom of the Student's t.
        modulation: "film", or "gated": scale and shift each mixed with a third term, by a gate.
        samples: draws of z per task and step; 0: train as at test, on the mean given the support, without a divergence.
        kl_weight: weight of the divergence, summed over dimensions.
        cluster_weight: weight of the clustering loss.
        context_loss: whether support rows count in the loss as query rows do, as in the paper, or query rows alone.
        dropout: the probability with which a hidden number of the encoders and the decoder is zero in training.

    Reference: Lin et al., Task-adaptive neural process for user cold-start recommendation, WWW 2021: the encoder, the
    customisation module, the adaptive decoder (FiLM and Gating-FiLM), and the loss.
    """

    def init(key: PRNGKeyArray) -> Params:
        key_model, *keys = jax.random.split(key, 6)
        process = init_process(keys, sum(model.widths), width, hidden, clusters, modulation)
        return model.init(key_model) | {"process": process}

    def dropping(key: PRNGKeyArray | None) -> Callable[[int], dense.Dropout | None]:
        """Dropout of each of the networks, by its number."""
        if key is None or not dropout:
            return lambda network: None
        return lambda network: dense.Dropout(jax.random.fold_in(key, network), dropout)

    def adapt(params, context, support, depth=None, key=None) -> Customised:
        evidence, drop = dense.evidence(spec, model, objective, params, context, support), dropping(key)
        mask = unless_shallow(support, depth).mask
        none = encode(params["process"], evidence[:0], mask[:0], temperature)
        own = encode(params["process"], evidence, mask, temperature, drop(LATENT), drop(TASK))
        return Customised(own, none, params, context, support, key)

    def predict(fast: Customised, query: Query) -> Float[Array, "n"]:
        encoding = model.encode(fast.params, fast.context, fast.support, query.x)
        rows, process, drop = dense.joined(encoding), fast.params["process"], dropping(fast.key)(DECODER)
        own, none = (decode(process, rows, code, drop) for code in (fast.own, fast.none))
        return model.score(fast.params, encoding) + own - none

    def episode(params: Params, task: Task, label: Array, noise: Array, visit: Visit) -> tuple[Array, Array, Array]:
        """The loss of the rows, the divergence, and the assignment of one task."""
        context, support, query = task
        key, drop = (visit.key, dropping(visit.key)) if dropout else (None, dropping(None))
        fast = adapt(params, context, support, key=key)
        evidence = dense.evidence(spec, model, objective, params, context, support)
        process, every = params["process"], pool(task, label)
        embedding = pool_encodings(process, "task", evidence, support.mask, drop(TASK))
        assignment = assign(embedding, process["centres"], temperature)
        counted = with_context(visit, support) if context_loss else visit
        rows, labels = (Query(every.x, every.mask), every.y) if context_loss else (query, label)
        if not samples:
            return query_loss(objective, predict, fast, rows, labels, counted), jnp.zeros(()), assignment
        about = dense.evidence(spec, model, objective, params, context, every)
        posterior = latent(process, about, every.mask, drop(POSTERIOR))

        def drawn(noise: Array) -> Array:
            own = fast.own._replace(latent=posterior.mean + jnp.exp(posterior.log_variance / 2) * noise)
            return query_loss(objective, predict, fast._replace(own=own), rows, labels, counted)

        kl = divergence(posterior, latent(process, evidence, support.mask, drop(LATENT)))
        return jax.vmap(drawn)(noise).mean(), kl, assignment

    def meta_grad(params: Params, batch: Batch, key: PRNGKeyArray):
        noise = jax.random.normal(key, (len(batch.label), samples, width))

        def total(params: Params) -> tuple[Array, dict[str, Array]]:
            each = (batch.task, batch.label, noise, visits(batch, key))
            fit, kl, assignment = jax.vmap(partial(episode, params))(*each)
            parts = {"loss": fit.mean(), "kl": kl.mean(), "clustering": clustering(assignment)}
            return parts["loss"] + kl_weight * parts["kl"] + cluster_weight * parts["clustering"], parts

        gradient, parts = jax.grad(total, has_aux=True)(params)
        return gradient, parts

    departs = (("paper", "beside a scorer"),)
    departs += () if context_loss else (("learner.context_loss", "no loss on the support"),)
    departs += () if samples else (("learner.samples", "no draws"),)
    return Learner(init, adapt, predict, meta_grad, 1, departs=departs)


LATENT, TASK, POSTERIOR, DECODER = range(4)
"""Numbers of the networks whose dropout is drawn apart: the encoders of the support, that of all rows, the decoder."""


def with_context(visit: Visit, support: Support) -> Visit:
    """The arguments of the loss of support and query rows together: support rows have weight 1."""
    if visit.weight is None:
        return visit
    return visit._replace(weight=jnp.concatenate([jnp.ones(len(support.y), visit.weight.dtype), visit.weight]))


def init_process(
    keys: Sequence[PRNGKeyArray], rows: int, width: int, hidden: Sequence[int], clusters: int, modulation: str
) -> Params:
    """Initialise encoders, centres, decoder and modulation.

    Args:
        keys: five keys.
        rows: width of both sides of a row.
        width, hidden, clusters, modulation: settings of `tanp`.
    """
    key_latent, key_task, key_centres, key_decoder, key_film = keys
    parts = ("scale", "shift") if modulation == "film" else ("scale", "shift", "other", "gate")
    film = {
        f"layer_{i}": {
            part: jax.random.normal(key, (width, size)) / width**0.5
            for part, key in zip(parts, jax.random.split(key, len(parts)), strict=True)
        }
        for i, (size, key) in enumerate(zip(hidden, jax.random.split(key_film, len(hidden)), strict=True))
    }
    key_latent, key_gaussian = jax.random.split(key_latent)
    return {
        "latent": dense.init(key_latent, (rows + 1, *hidden, width)),
        "gaussian": dense.init(key_gaussian, (width, width, 2 * width)),
        "task": dense.init(key_task, (rows + 1, *hidden, width)),
        "log_rows": {"latent": jnp.zeros(()), "task": jnp.zeros(())},
        "centres": jax.random.normal(key_centres, (clusters, width)) / width**0.5,
        "decoder": dense.init(key_decoder, (rows + width, *hidden, 1)),
        "film": film,
    }


def pool_encodings(
    process: Params, name: str, evidence: Array, mask: Array, drop: dense.Dropout | None = None
) -> Float[Array, "w"]:
    """The shrunk mean of encodings of labelled rows, by the encoder "latent" or "task"."""
    return dense.pooled(dense.apply(process[name], evidence, drop), mask, process["log_rows"][name])


def latent(process: Params, evidence: Array, mask: Array, drop: dense.Dropout | None = None) -> Gaussian:
    """The distribution of the latent variable given labelled rows."""
    summary = pool_encodings(process, "latent", evidence, mask, drop)
    return Gaussian(*jnp.split(dense.apply(process["gaussian"], summary), 2))


def encode(
    process: Params,
    evidence: Array,
    mask: Array,
    temperature: float,
    of_latent: dense.Dropout | None = None,
    of_task: dense.Dropout | None = None,
) -> Code:
    """Encode labelled rows as the decoder's inputs: the latent mean, and the customised task embedding.

    Args:
        process: parameters.
        evidence, mask: the rows, and which of them there are.
        temperature: see `assign`.
        of_latent, of_task: dropout of the two encoders.
    """
    task, centres = pool_encodings(process, "task", evidence, mask, of_task), process["centres"]
    mean = latent(process, evidence, mask, of_latent).mean
    return Code(mean, task + assign(task, centres, temperature) @ centres)


def assign(task: Float[Array, "t"], centres: Float[Array, "k t"], temperature: float) -> Float[Array, "k"]:
    """Soft assignment of a task to centres: Student's t kernels of the distances, with ``temperature`` degrees.

    >>> assign(jnp.zeros(1), jnp.array([[0.0], [1.0]]), 1.0).tolist()  # 1 : 1 / 2
    [0.6666666865348816, 0.3333333432674408]
    """
    near = -(temperature + 1) / 2 * jnp.log1p(jnp.square(task - centres).sum(-1) / temperature)
    return jax.nn.softmax(near)


def clustering(assignment: Float[Array, "T k"]) -> Float[Array, ""]:
    """Divergence of assignments from their sharpened selves: the mean KL(sharp || assignment) of a task.

    Sharpened: squared, divided by the cluster's number of tasks in the batch, and normalised. The sharpened assignment
    is the target, and so held constant.
    """
    sharp = jnp.square(assignment) / assignment.sum(0)
    sharp = jax.lax.stop_gradient(sharp / sharp.sum(-1, keepdims=True))
    return (jax.scipy.special.xlogy(sharp, sharp) - sharp * jnp.log(assignment)).sum(-1).mean()


def decode(
    process: Params, rows: Float[Array, "n d"], code: Code, drop: dense.Dropout | None = None
) -> Float[Array, "n"]:
    """Apply layers over rows and latent, each hidden one scaled and shifted by the task embedding."""
    layers, films = process["decoder"], process["film"]
    x = jnp.concatenate([rows, jnp.broadcast_to(code.latent, (len(rows), len(code.latent)))], axis=-1)
    for i in range(len(films)):
        name = f"layer_{i}"
        film = {part: code.embedding @ weight for part, weight in films[name].items()}
        scale, shift = jnp.tanh(film["scale"]), jnp.tanh(film["shift"])
        if "gate" in film:
            gate, other = jax.nn.sigmoid(film["gate"]), jnp.tanh(film["other"])
            scale, shift = (gate * term + (1 - gate) * other for term in (scale, shift))
        x = dense.dropped(jax.nn.relu(scale * dense.linear(layers[name], x) + shift), drop, i)
    return dense.linear(layers[f"layer_{len(films)}"], x)[:, 0]
