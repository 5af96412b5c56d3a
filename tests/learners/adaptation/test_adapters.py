"""What adapts: by every learner, exactly what was asked for; and what a model is fitted with, in closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recmeta.config.components import component
from recmeta.encoders.features import features
from recmeta.encoders.gru import gru
from recmeta.encoders.tower import tower
from recmeta.learners.adaptation import adapters, inner, kernels, tables
from recmeta.learners.finetune import finetune
from recmeta.learners.imaml import imaml
from recmeta.learners.maml import maml
from recmeta.learners.maml_pp import maml_pp
from recmeta.learners.meta_curvature import meta_curvature
from recmeta.learners.meta_sgd import meta_sgd
from recmeta.learners.reptile import reptile
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot
from recmeta.scorers.mlp import mlp
from recmeta.types import UserError
from tests.learners.conftest import to_double

STEPS = {"inner_steps": 2, "inner_rate": 0.1}
LEARNERS = {
    "maml": partial(maml, first_order=False, **STEPS),
    "fomaml": partial(maml, first_order=True, **STEPS),
    "meta_sgd": partial(meta_sgd, first_order=False, **STEPS),
    "imaml": partial(imaml, pull=1.0, cg_steps=3, **STEPS),
    "finetune": partial(finetune, **STEPS),
    "meta_curvature": partial(meta_curvature, first_order=False, **STEPS),
    "maml_pp": partial(maml_pp, multi_step_until=0.1, first_order_until=0.3, **STEPS),
    "reptile": partial(reptile, **STEPS),
}
MOVES = {
    "head": lambda path: path[0] == "scorer",
    "body": lambda path: path[0] in ("tables", "encoder"),
    "all": lambda path: True,
    "bias": lambda path: path[-1] == "bias",
    "norm": lambda path: "rectifiers" in path,
    "film": lambda path: path[-1] in ("scale", "shift") and "rectifiers" not in path,
    "lora": lambda path: path[-1] in ("up", "down"),
    "user_embedding": lambda path: path[-1] == "user_embedding",
    "prompt": lambda path: path == ("encoder", "prompt"),
}
"""Which parameters each choice is to move."""


def with_something_for(problem, adapts):
    """A small model that has what is to adapt."""
    reads = partial(gru, width=2, state=2, prompt=2) if adapts == "prompt" else partial(features, width=2)
    return make_model(reads, partial(mlp, hidden=(5,), norm=True), problem.spec, mse())


def towers(problem):
    """A model with dense layers in the encoder too."""
    encoder = partial(tower, width=2, hidden=(4, 3), norm=False)
    return make_model(encoder, partial(mlp, hidden=(5,)), problem.spec, mse())


@pytest.fixture(scope="module")
def batch(problem):
    return problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))


@pytest.fixture(scope="module")
def task(batch):
    return jax.tree.map(lambda values: values[0], batch.task)


def leaves(params):
    """Path -> leaf, a changed table and a changed kernel being one."""
    held = (tables.Overlay, kernels.Corrected)
    flat, _ = jax.tree_util.tree_flatten_with_path(params, is_leaf=lambda leaf: isinstance(leaf, held))
    return {tuple(entry.key for entry in path): leaf for path, leaf in flat}


def moved(before, after):
    """The paths at which a parameter changed."""
    before, after = leaves(before), leaves(after)
    assert before.keys() == after.keys()

    def change(path, leaf):
        if isinstance(leaf, tables.Overlay):
            return leaf.changes.change
        return leaf.factors.change if isinstance(leaf, kernels.Corrected) else leaf - before[path]

    return {path for path, leaf in after.items() if np.abs(change(path, leaf)).max() > 0}


def scores(model, params, task):
    return model.score(params, model.encode(params, task.context, task.support, task.query.x))


# Each compiles a program. Quick: of maml all choices; of every other learner one whose parameters are the model's own,
# rows of tables among them, and one that the model is fitted with. Slow: all others, though they share that code.
GRID = [
    pytest.param(name, adapts, marks=() if name == "maml" or adapts in ("body", "lora") else pytest.mark.slow)
    for name in LEARNERS
    for adapts in MOVES
]


@pytest.mark.parametrize(("name", "adapts"), GRID)
def test_what_adapts_is_what_was_asked_for_and_starts_from_the_model_as_it_is(problem, task, name, adapts):
    model = with_something_for(problem, adapts)
    learner = LEARNERS[name](spec=problem.spec, model=model, objective=mse(), adapts=adapts)
    params = learner.init(jax.random.key(0))
    start = {part: params[part] for part in ("tables", "encoder", "scorer")}
    wanted = {path for path in leaves(start) if MOVES[adapts](path)}

    # One program for both depths, which is traced once.
    @jax.jit
    def adapted(params, task, depth):
        fast = learner.adapt(params, task.context, task.support, depth)
        return fast.params, learner.predict(fast, task.query)

    (_, first), (fast, last) = (adapted(params, task, depth) for depth in (0, 2))
    before = scores(model, model.init(jax.random.key(0)), task)
    assert wanted
    assert moved(start, fast) == wanted
    # The same key gives the model its own parameters, and what it is fitted with is without effect at first.
    np.testing.assert_allclose(first, before, rtol=1e-5)
    assert np.abs(last - first).max() > 1e-6


SGD, ADAM = None, partial(optax.adam, eps_root=1e-6)


@pytest.mark.parametrize(
    ("adapts", "optimizer"),
    [({"lora": 2}, SGD), ({"lora": 2}, ADAM), ("film", SGD), ("film", ADAM), ("user_embedding", SGD)],
    ids=["lora", "lora-adam", "film", "film-adam", "user_embedding"],
)
def test_maml_is_differentiated_through_what_the_model_is_fitted_with(
    problem, batch, derivative_error, adapts, optimizer
):
    settings = {"inner_steps": 2, "inner_rate": 0.05, "first_order": False, "inner": inner.Inner(optimizer)}
    learner = maml(spec=problem.spec, model=towers(problem), objective=mse(), adapts=adapts, **settings)
    # A little off the start, where half of what LoRA adapts has no gradient yet.
    params, rng = learner.init(jax.random.key(0)), np.random.default_rng(0)
    params = jax.tree.map(lambda leaf: leaf + 0.1 * rng.normal(size=leaf.shape).astype(np.float32), params)
    assert derivative_error(learner, params, batch) < 1e-6


@pytest.mark.parametrize("adapts", [{"lora": 3}, {"lora": 2}, "lora"], ids=str)
def test_lora_is_a_product_of_two_thin_matrices_beside_each_kernel(problem, adapts):
    model = towers(problem)
    fitted, name = adapters.fitted(model, adapts)
    rank = 4 if adapts == "lora" else adapts["lora"]
    params = fitted.init(jax.random.key(0))
    found = leaves(inner.chosen(params, name))
    assert len(model.kernels) == 7
    for kernel in model.kernels:
        ins, outs = leaves(params)[kernel].shape
        down, up = (found.pop((kernel[0], "adapters", *kernel[1:], part)) for part in ("down", "up"))
        assert down.size + up.size == min(rank, ins, outs) * (ins + outs)
        assert down.shape[1] == up.shape[0] == min(rank, ins, outs)
        np.testing.assert_array_equal(up, 0)
    assert not found  # nothing else adapts


def test_one_step_of_lora_by_hand(problem, task):
    """Every adapted kernel is ``W + down' @ up'``; at the start the step is ``up' = -rate down.T @ dL/dW``."""
    with jax.enable_x64():
        model = towers(problem)
        fitted, name = adapters.fitted(model, {"lora": 2})
        params, task = to_double(fitted.init(jax.random.key(0))), to_double(task)
        own = {part: adapters.apart(value)[0] for part, value in params.items()}

        def loss(params):
            encoding = model.encode(params, task.context, task.support, None)
            return mse().loss(model.score(params, encoding), task.support.y, task.support.mask)

        slope = leaves(jax.grad(loss)(own))
        fast = inner.adapt(
            fitted, mse(), params, task.context, task.support, adapts=name, steps=1, rate=0.1
        )  # fmt: skip
        at, ended, whole = leaves(params), leaves(fast), leaves(own)
        for kernel in model.kernels:
            where = (kernel[0], "adapters", *kernel[1:])
            down = at[*where, "down"]
            np.testing.assert_array_equal(ended[*where, "down"], down)  # which has no slope while up is zero
            np.testing.assert_allclose(ended[*where, "up"], -0.1 * down.T @ slope[kernel], rtol=1e-9, atol=1e-14)
            whole[kernel] = whole[kernel] + down @ ended[*where, "up"]
        by_hand = jax.tree.unflatten(jax.tree.structure(own), list(whole.values()))
        got = scores(fitted, inner.with_fast(params, fast), task)
        np.testing.assert_allclose(got, scores(model, by_hand, task), rtol=1e-12)
        assert np.abs(got - scores(model, own, task)).max() > 1e-3


def test_the_first_step_of_lora_is_in_expectation_that_of_its_kernel():
    kernel = jnp.zeros((6, 5))
    down = jax.vmap(lambda key: adapters.low_rank(3).init(key, kernel)["down"])(
        jax.random.split(jax.random.key(0), 4000)
    )
    np.testing.assert_allclose(jnp.einsum("nar,nbr->ab", down, down) / 4000, np.eye(6), atol=0.05)


def test_film_scales_and_shifts_what_each_kernel_makes(problem, task):
    """By hand: ``x @ W (1 + scale) + shift + bias`` is a layer of another kernel and another bias."""
    model = towers(problem)
    fitted, name = adapters.fitted(model, "film")
    params, rng = fitted.init(jax.random.key(0)), np.random.default_rng(0)
    drawn = jax.tree.map(lambda leaf: rng.normal(size=leaf.shape).astype(np.float32), inner.chosen(params, name))
    own = {part: adapters.apart(value)[0] for part, value in params.items()}
    whole, films = leaves(own), leaves(drawn)
    for kernel in model.kernels:
        scale, shift = (films.pop((kernel[0], "adapters", *kernel[1:], part)) for part in ("scale", "shift"))
        bias = (*kernel[:-1], "bias") if kernel[-1] == "kernel" else ("scorer", "bias")
        whole[kernel], whole[bias] = whole[kernel] * (1 + scale), whole[bias] + shift
    assert not films
    by_hand = jax.tree.unflatten(jax.tree.structure(own), list(whole.values()))
    got = scores(fitted, inner.with_fast(params, drawn), task)
    np.testing.assert_allclose(got, scores(model, by_hand, task), rtol=1e-4)
    assert np.abs(got - scores(model, own, task)).max() > 1e-2


def test_a_user_embedding_is_added_to_the_context(problem, task):
    model = towers(problem)
    fitted, _ = adapters.fitted(model, "user_embedding")
    params = fitted.init(jax.random.key(0))
    own = {part: adapters.apart(value)[0] for part, value in params.items()}
    vector = jnp.arange(3.0)
    params["scorer"] = params["scorer"] | {"adapters": {"user_embedding": vector}}
    encoding = model.encode(own, task.context, task.support, task.query.x)
    moved = encoding._replace(context=encoding.context + vector)
    np.testing.assert_allclose(scores(fitted, params, task), model.score(own, moved), rtol=1e-6)


def test_the_support_is_encoded_once_where_the_encoder_has_nothing_that_adapts(problem, task):
    """Looked up and put through layers outside of the loop: the loss of the loop does not call the encoder."""
    calls = []

    def counted(model):
        return model._replace(encode=lambda *given: calls.append(1) or model.encode(*given))

    flat = with_something_for(problem, "lora")
    for model, adapts, within in (
        (towers(problem), "user_embedding", 0),
        (flat, "lora", 0),
        (towers(problem), "lora", 1),
    ):
        fitted, name = adapters.fitted(model, adapts)
        params = fitted.init(jax.random.key(0))
        loss, start, *_ = inner.support_descent(counted(fitted), mse(), params, task.context, task.support, name)
        before = len(calls)
        loss(start)
        assert len(calls) - before == within


@pytest.mark.parametrize(
    ("adapts", "said"),
    [
        ("heads", "learner.adapts=heads: input should be 'head', 'body', 'all', 'bias', 'norm', 'film', 'lora', 'use"),
        ({"lora": 0}, "learner.adapts={'lora': 0}: input should be greater than or equal to 1"),
        ({"lora": 1.5}, "learner.adapts={'lora': 1.5}: input should be a valid integer"),
        ({"film": 2}, "learner.adapts={'film': 2}: input should be 'lora'"),
        ({}, "learner.adapts={}: input should be 'head', "),
        (None, "learner.adapts=null: input should be 'head', "),
    ],
)
def test_what_can_not_adapt_is_said(adapts, said):
    block = {"_target_": "recmeta.learners.maml", "_partial_": True, "_convert_": "all", "adapts": adapts}
    with pytest.raises(UserError) as refused:
        component("learner", block | STEPS | {"first_order": False}, ("spec", "model", "objective"))
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize(
    ("adapts", "has"), [("norm", "scorer=mlp scorer.norm=true"), ("prompt", "encoder=gru encoder.prompt=4")]
)
def test_what_the_model_does_not_have_is_said(problem, task, adapts, has):
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    learner = maml(spec=problem.spec, model=model, objective=mse(), adapts=adapts, first_order=False, **STEPS)
    with pytest.raises(
        UserError, match=f"^learner.adapts={adapts}: this encoder and scorer have no such parameter; {has} has$"
    ):
        learner.adapt(learner.init(jax.random.key(0)), task.context, task.support)
