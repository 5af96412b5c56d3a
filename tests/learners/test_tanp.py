"""TaNP against numpy: its parts by their formulas, its randomness in training alone."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.tanp import assign, clustering, tanp
from recmeta.objectives import mse
from recmeta.types import Batch, DataSpec, Encoding, Model, Query, Support, Task

SPEC = DataSpec(
    context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(1.0, 2.0, 3.0, 4.0, 5.0), support=4, query=3, rows=100
)
MODEL = Model(
    init=lambda key: {"encoder": {}, "tables": {}, "scorer": {"w": jnp.array([0.5, -1.0])}},
    encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
    score=lambda params, encoding: 3 + encoding.row @ params["scorer"]["w"],
    widths=(1, 2),
)
SETTINGS = {
    "width": 3, "hidden": (8, 9), "clusters": 2, "temperature": 1.5, "modulation": "film", "samples": 1,
    "kl_weight": 0.7, "cluster_weight": 0.3,
}  # fmt: skip


@pytest.fixture(autouse=True)
def double():
    with jax.enable_x64():
        yield


def made(**changed):
    learner = tanp(spec=SPEC, model=MODEL, objective=mse(), **SETTINGS | changed)
    rng = np.random.default_rng(0)
    params = learner.init(jax.random.key(0))
    return learner, jax.tree.map(lambda v: v + 0.3 * rng.normal(size=v.shape), params)


def drawn(number=3):
    """A batch of tasks of four support and three query rows; the last of each is missing in the first task."""
    rng = np.random.default_rng(1)
    real = lambda *shape: jnp.array(rng.normal(size=(number, *shape)))  # noqa: E731
    mask = jnp.ones((number, 4), bool).at[0, -1].set(False)
    support = Support({"v": real(4, 2)}, 3 + real(4), mask)
    return Batch(Task({}, support, Query({"v": real(3, 2)}, mask[:, 1:])), 3 + real(3))


@partial(jax.jit, static_argnums=0)
def scores(learner, params, support, query, depth=None):
    return learner.predict(learner.adapt(params, {}, support, depth), query)


def at(tree, number):
    return jax.tree.map(lambda values: values[number], tree)


def layers(network, x):
    for i in range(len(network)):
        layer = jax.tree.map(np.asarray, network[f"layer_{i}"])
        x = (np.maximum(x, 0) if i else x) @ layer["kernel"] + layer["bias"]
    return x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


@pytest.mark.parametrize("modulation", ["film", "gated"])
def test_the_formula(modulation):
    learner, params = made(modulation=modulation)
    task = at(drawn().task, 0)
    got = scores(learner, params, task.support, task.query)
    process, w = jax.tree.map(np.asarray, params["process"]), np.asarray(params["scorer"]["w"])
    xs, ys, xq = np.asarray(task.support.x["v"])[:3], np.asarray(task.support.y)[:3], np.asarray(task.query.x["v"])
    pairs = np.column_stack([np.zeros(3), xs, (ys - 3 - xs @ w) / 2])

    def code(pairs):
        latent, t = (
            layers(process[name], pairs).sum(0) / (len(pairs) + np.exp(process["log_rows"][name]))
            for name in ("latent", "task")
        )
        z = layers(process["gaussian"], latent)[:3]
        distance = ((t - process["centres"]) ** 2).sum(1)
        near = (1 + distance / 1.5) ** -(2.5 / 2)
        return z, t + near / near.sum() @ process["centres"]

    def decoder(z, o):
        x = np.column_stack([np.zeros(3), xq, np.tile(z, (3, 1))])
        for name in ("layer_0", "layer_1"):
            layer, told = process["decoder"][name], {part: o @ v for part, v in process["film"][name].items()}
            scale, shift = np.tanh(told["scale"]), np.tanh(told["shift"])
            if modulation == "gated":
                gate, other = sigmoid(told["gate"]), np.tanh(told["other"])
                scale, shift = gate * scale + (1 - gate) * other, gate * shift + (1 - gate) * other
            x = np.maximum(scale * (x @ layer["kernel"] + layer["bias"]) + shift, 0)
        return (x @ process["decoder"]["layer_2"]["kernel"] + process["decoder"]["layer_2"]["bias"])[:, 0]

    expected = 3 + xq @ w + decoder(*code(pairs)) - decoder(*code(pairs[:0]))
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    assert np.abs(got - 3 - xq @ w).min() > 1e-4


def test_without_support_the_scorer_alone_and_in_any_order_the_same():
    learner, params = made()
    task = at(drawn().task, 1)
    prior = 3 + task.query.x["v"] @ params["scorer"]["w"]

    none = Support({"v": jnp.full((4, 2), jnp.inf)}, jnp.full(4, jnp.nan), jnp.zeros(4, bool))
    np.testing.assert_allclose(scores(learner, params, none, task.query), prior, rtol=1e-12)
    np.testing.assert_allclose(scores(learner, params, task.support, task.query, 0), prior, rtol=1e-12)
    moved = at(task.support, np.array([2, 0, 3, 1]))
    base = scores(learner, params, task.support, task.query)
    np.testing.assert_allclose(scores(learner, params, moved, task.query), base, rtol=1e-10)


def test_assignment_is_even_at_a_tie_and_certain_at_a_centre_far_from_others():
    centres = jnp.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(assign(jnp.zeros(2), centres, 1.0), np.full(3, 1 / 3), rtol=1e-12)
    np.testing.assert_allclose(assign(1e6 * centres[1], 1e6 * centres, 1.0), [0, 1, 0], atol=1e-10)
    # With many degrees of freedom a Student's t is a normal distribution.
    weight = np.exp(-0.5 * np.square(np.array([0.3, 0.2]) - centres).sum(1))
    np.testing.assert_allclose(assign(jnp.array([0.3, 0.2]), centres, 1e7), weight / weight.sum(), rtol=1e-5)


def test_clustering_is_the_divergence_from_the_sharpened_and_leads_towards_it():
    c = np.random.default_rng(0).dirichlet([1, 1, 1], 5)
    d = c**2 / c.sum(0)
    d /= d.sum(1, keepdims=True)
    np.testing.assert_allclose(clustering(jnp.array(c)), (d * np.log(d / c)).sum(1).mean(), rtol=1e-10)
    # The target is a constant: the slope in c is that of -d log c alone.
    np.testing.assert_allclose(jax.grad(clustering)(jnp.array(c)), -d / c / 5, rtol=1e-10)
    np.testing.assert_allclose(clustering(jnp.full((4, 3), 1 / 3)), 0, atol=1e-12)  # no cluster is any task's


def gradient(params, batch, seed=0, **changed):
    return jax.jit(made(**changed)[0].meta_grad)(params, batch, jax.random.key(seed))


def test_predictions_are_of_the_mean_however_it_was_trained():
    task = at(drawn().task, 1)
    both = [scores(*made(samples=samples), task.support, task.query) for samples in (0, 3)]
    np.testing.assert_array_equal(*both)


def test_the_latent_is_drawn_by_the_key():
    _, params = made()
    batch = drawn()
    one, again, other = (gradient(params, batch, seed)[1]["loss"] for seed in (0, 0, 1))
    assert one == again
    assert abs(one - other) > 1e-4
    assert gradient(params, batch, 0, samples=0)[1]["loss"] == gradient(params, batch, 1, samples=0)[1]["loss"]


def test_without_variance_and_without_news_in_the_query_a_draw_is_the_mean():
    _, params = made()
    batch, process = drawn(), params["process"]
    last = process["gaussian"]["layer_1"]
    # The latent says the same of every set of rows: some mean, and a variance of nothing.
    last = {"kernel": jnp.zeros_like(last["kernel"]), "bias": jnp.array([0.3, -0.2, 0.5, -80.0, -80.0, -80.0])}
    fixed = params | {"process": process | {"gaussian": process["gaussian"] | {"layer_1": last}}}
    sampled, mean = gradient(fixed, batch, samples=4)[1], gradient(fixed, batch, samples=0)[1]
    np.testing.assert_allclose(sampled["loss"], mean["loss"], rtol=1e-10)
    assert sampled["kl"] == 0
    assert gradient(params, batch)[1]["kl"] > 1e-3
    silent = batch._replace(task=batch.task._replace(query=batch.task.query._replace(mask=jnp.zeros((3, 3), bool))))
    np.testing.assert_allclose(gradient(params, silent)[1]["kl"], 0, atol=1e-12)


def test_the_gradient_is_of_the_three_losses_by_their_weights():
    _, params = made()
    batch = drawn()
    total = lambda **weights: gradient(params, batch, **weights)[0]  # noqa: E731
    parts = [
        total(kl_weight=0.0, cluster_weight=0.0), total(kl_weight=1.0, cluster_weight=0.0),
        total(kl_weight=0.0, cluster_weight=1.0),
    ]  # fmt: skip
    expected = jax.tree.map(lambda fit, kl, cluster: fit + 0.7 * (kl - fit) + 0.3 * (cluster - fit), *parts)
    jax.tree.map(partial(np.testing.assert_allclose, rtol=1e-8, atol=1e-10), total(), expected)
    assert np.abs(parts[2]["process"]["centres"] - parts[0]["process"]["centres"]).max() > 1e-4


@pytest.mark.parametrize("context", [True, False])
def test_the_loss_without_draws_is_that_of_its_predictions_for_all_rows_or_the_querys(context):
    learner, params = made(samples=0)
    batch = drawn()
    losses = []
    for number in range(3):
        task, label = at(batch.task, number), batch.label[number]
        score = scores(learner, params, task.support, task.query)
        errors = [np.square(score - label)[np.asarray(task.query.mask)]]
        if context:
            score = scores(learner, params, task.support, Query(task.support.x, task.support.mask))
            errors.append(np.square(score - task.support.y)[np.asarray(task.support.mask)])
        losses.append(np.concatenate(errors).mean())
    got = gradient(params, batch, samples=0, context_loss=context)[1]["loss"]
    np.testing.assert_allclose(got, np.mean(losses))


def test_weights_of_query_rows_are_beside_support_rows_of_weight_one():
    _, params = made()
    batch = drawn()
    even, none = (gradient(params, batch._replace(weight=w))[1]["loss"] for w in (jnp.ones((3, 3)), None))
    np.testing.assert_allclose(even, none, rtol=1e-12)
    heavy = gradient(params, batch._replace(weight=jnp.full((3, 3), 1e9)))[1]["loss"]
    alone = gradient(params, batch, context_loss=False)[1]["loss"]
    np.testing.assert_allclose(heavy, alone, rtol=1e-6)


def test_dropout_is_drawn_by_the_key_in_training_alone():
    _, params = made()
    batch = drawn()
    loss = lambda seed, rate: float(gradient(params, batch, seed, samples=0, dropout=rate)[1]["loss"])  # noqa: E731
    assert loss(0, 0.0) == loss(1, 0.0)
    assert loss(0, 0.3) == loss(0, 0.3) != loss(1, 0.3)
    task = at(drawn().task, 1)
    both = [scores(*made(dropout=rate), task.support, task.query) for rate in (0.0, 0.3)]
    np.testing.assert_array_equal(*both)


def test_dropout_changes_nothing_without_support():
    _, params = made()
    batch = drawn()
    none = batch.task.support._replace(mask=jnp.zeros((3, 4), bool))
    batch = batch._replace(task=batch.task._replace(support=none))
    settings = {"samples": 0, "context_loss": False}
    dropped, kept = (gradient(params, batch, dropout=rate, **settings)[1]["loss"] for rate in (0.5, 0.0))
    np.testing.assert_allclose(dropped, kept, rtol=1e-12)
