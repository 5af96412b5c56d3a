"""TaNP: a neural process whose decoder is customised to the kind of task, by soft clusters of tasks.

The support determines two things, each by the mean of encodings of its labelled rows: a distribution of the latent z,
and a task embedding t. The distances of t to the global centres a_1 ... a_k give a soft assignment c (`assign`), and o
= t + sum_j c_j a_j modulates every hidden layer of the decoder, which reads the row beside z (`decode`):

    score(x) = scorer(x) + g(x, z; o) - g(x, z_0; o_0),    z_0 and o_0 being those of an empty support.

In training z is drawn given support and query together, and the loss is that of the query rows, plus the divergence of
that distribution from the one given the support alone, plus the clustering loss over the batch (`clustering`). At test
z is the mean given the support.

Changed from the paper: the scorer gives the prediction without support, encoders read differences of labels to the
scorer's prediction, and their mean is shrunk, all as in `cnp`; a context and its targets are the protocol's support and
query, not a new split of them at each visit. Changed from its published code: z is sampled there at test too, so that
two runs of one model differ; distances to centres are not squared there, as a Student's t has them; and the sharpened
assignment, the target of the clustering loss, is not held constant there.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Annotated, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Gt
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


# Long: twelve settings, and a loss of its own whose terms share the support's encodings.
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

    Reference: Lin et al., Task-adaptive neural process for user cold-start recommendation, WWW 2021: the encoder, the
    customisation module, the adaptive decoder (FiLM and Gating-FiLM), and the loss.
    """

    def init(key: PRNGKeyArray) -> Params:
        key_model, *keys = jax.random.split(key, 6)
        process = init_process(keys, sum(model.widths), width, hidden, clusters, modulation)
        return model.init(key_model) | {"process": process}

    def adapt(params, context, support, depth=None) -> Customised:
        evidence = dense.evidence(spec, model, objective, params, context, support)
        mask = unless_shallow(support, depth).mask
        none = encode(params["process"], evidence[:0], mask[:0], temperature)
        return Customised(encode(params["process"], evidence, mask, temperature), none, params, context, support)

    def predict(fast: Customised, query: Query) -> Float[Array, "n"]:
        encoding = model.encode(fast.params, fast.context, fast.support, query.x)
        rows, process = dense.joined(encoding), fast.params["process"]
        return model.score(fast.params, encoding) + decode(process, rows, fast.own) - decode(process, rows, fast.none)

    def episode(params: Params, task: Task, label: Array, noise: Array, visit: Visit) -> tuple[Array, Array, Array]:
        """The query loss, the divergence, and the assignment of one task."""
        context, support, query = task
        fast = adapt(params, context, support)
        evidence = dense.evidence(spec, model, objective, params, context, support)
        process = params["process"]
        assignment = assign(pool_encodings(process, "task", evidence, support.mask), process["centres"], temperature)
        if not samples:
            return query_loss(objective, predict, fast, query, label, visit), jnp.zeros(()), assignment
        every = pool(task, label)
        posterior = latent(process, dense.evidence(spec, model, objective, params, context, every), every.mask)

        def drawn(noise: Array) -> Array:
            own = fast.own._replace(latent=posterior.mean + jnp.exp(posterior.log_variance / 2) * noise)
            return query_loss(objective, predict, fast._replace(own=own), query, label, visit)

        kl = divergence(posterior, latent(process, evidence, support.mask))
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

    return Learner(init, adapt, predict, meta_grad, 1)


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


def pool_encodings(process: Params, name: str, evidence: Array, mask: Array) -> Float[Array, "w"]:
    """The shrunk mean of encodings of labelled rows, by the encoder "latent" or "task"."""
    return dense.pooled(dense.apply(process[name], evidence), mask, process["log_rows"][name])


def latent(process: Params, evidence: Array, mask: Array) -> Gaussian:
    """The distribution of the latent variable given labelled rows."""
    summary = pool_encodings(process, "latent", evidence, mask)
    return Gaussian(*jnp.split(dense.apply(process["gaussian"], summary), 2))


def encode(process: Params, evidence: Array, mask: Array, temperature: float) -> Code:
    """Encode labelled rows as the decoder's inputs: the latent mean, and the customised task embedding."""
    task, centres = pool_encodings(process, "task", evidence, mask), process["centres"]
    return Code(latent(process, evidence, mask).mean, task + assign(task, centres, temperature) @ centres)


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


def decode(process: Params, rows: Float[Array, "n d"], code: Code) -> Float[Array, "n"]:
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
        x = jax.nn.relu(scale * dense.linear(layers[name], x) + shift)
    return dense.linear(layers[f"layer_{len(films)}"], x)[:, 0]
