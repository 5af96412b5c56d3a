"""The parts that adapt, against a quadratic's closed form."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recmeta.encoders.features import features
from recmeta.learners.adaptation import inner
from recmeta.learners.adaptation.inner import PLAIN, Inner
from recmeta.learners.maml import maml
from recmeta.learners.reptile import reptile
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.mlp import mlp
from recmeta.types import Batch, Encoding, Model, Query, Support, Task, UserError
from tests.learners.conftest import to_double

RATE = 0.1
PARTS = {"head": [0, 0, 0, 1, 1, 1, 1], "body": [1, 1, 1, 0, 0, 0, 0], "all": [1] * 7, "bias": [0, 0, 0, 0, 0, 0, 1]}
"""Which of the encoder's three weights, the scorer's three, and its bias adapts."""


@pytest.fixture(autouse=True)
def _double():
    with jax.enable_x64():
        yield


def encode(params, context, support, x):
    row = (support.x if x is None else x)["v"]
    return Encoding(jnp.zeros((1, 1)), jnp.concatenate([row, (row @ params["encoder"]["w"])[:, None]], 1))


def score(params, encoding):
    return encoding.row[:, :3] @ params["scorer"]["w"] + encoding.row[:, 3] + params["scorer"]["level"]["bias"]


def params_of(point):
    point = jnp.asarray(point)
    return {"tables": {}, "encoder": {"w": point[:3]}, "scorer": {"w": point[3:6], "level": {"bias": point[6]}}}


MODEL = Model(lambda key: params_of(jax.random.normal(key, (7,))), encode, score, (1, 4))
"""Linear in all of its parameters together: every loss is a quadratic."""


def flat(params):
    return np.concatenate(
        [params["encoder"]["w"], params["scorer"]["w"], np.atleast_1d(params["scorer"]["level"]["bias"])]
    )


@pytest.fixture
def tasks():
    """Two tasks of 4 support and 3 query rows: the batch, and each one's quadratics ``(H, b)`` of support and query."""
    rng = np.random.default_rng(1)
    xs, xq = rng.normal(size=(2, 4, 3)), rng.normal(size=(2, 3, 3))
    ys, yq = rng.normal(size=(2, 4)), rng.normal(size=(2, 3))
    support = Support({"v": jnp.array(xs)}, jnp.array(ys), jnp.ones((2, 4), bool))
    batch = Batch(Task({}, support, Query({"v": jnp.array(xq)}, jnp.ones((2, 3), bool))), jnp.array(yq))
    return batch, [(quadratic(xs[t], ys[t]), quadratic(xq[t], yq[t])) for t in range(2)], rng.normal(size=7)


def quadratic(x, y):
    """The mean squared error's second derivative, and minus its first at zero."""
    design = np.concatenate([x, x, np.ones((len(x), 1))], 1)
    return 2 / len(y) * design.T @ design, 2 / len(y) * design.T @ y


def make(learner, **settings):
    return learner(spec=None, model=MODEL, objective=mse(), **settings)


def meta_gradient(learner, point, batch):
    """As one vector, by a compiled program: op by op it takes ten times as long."""
    return flat(jax.jit(learner.meta_grad)(params_of(point), batch, jax.random.key(0))[0])


ORDERS = {
    "second": ({"first_order": False}, 3),
    "first": ({"first_order": True}, 0),
    **{
        f"truncate {last}": ({"first_order": False, "inner": Inner(truncate=last)}, min(last, 3))
        for last in (0, 1, 2, 3, 7)
    },
}
"""Settings, and through how many of the last of three steps the derivative goes."""


# A program each. Slow: the other numbers of steps with parts, which tells truncation by parts from truncation of all.
EACH = [
    pytest.param(part, order, marks=() if part == "all" or order in ("second", "truncate 1") else pytest.mark.slow)
    for part in PARTS
    for order in ORDERS
]


@pytest.mark.parametrize(("adapts", "order"), EACH)
def test_maml_of_a_part_in_closed_form(tasks, adapts, order):
    """With P the part that adapts, each step is ``I - rate P H``, and the meta-gradient its transpose's power."""
    batch, quadratics, point = tasks
    settings, last = ORDERS[order]
    part = np.diag(PARTS[adapts])
    expected = []
    for (hs, bs), (hq, bq) in quadratics:
        adapted, through = point, np.eye(7)
        for number in range(3):
            adapted = adapted - RATE * part @ (hs @ adapted - bs)
            through = (np.eye(7) - RATE * part @ hs) @ through if number >= 3 - last else through
        expected.append(through.T @ (hq @ adapted - bq))
    learner = make(maml, inner_steps=3, inner_rate=RATE, adapts=adapts, **settings)
    np.testing.assert_allclose(meta_gradient(learner, point, batch), np.mean(expected, 0), rtol=1e-10)


@pytest.mark.parametrize("adapts", PARTS)
def test_what_does_not_adapt_stays(tasks, adapts):
    batch, _, point = tasks
    task = jax.tree.map(lambda values: values[0], batch.task)
    learner = make(reptile, inner_steps=2, inner_rate=RATE, adapts=adapts)
    adapt = jax.jit(lambda params: learner.adapt(params, task.context, task.support).params)
    moved = flat(adapt(params_of(point))) != point
    np.testing.assert_array_equal(moved, PARTS[adapts])


@pytest.mark.parametrize("clip", [None, 0.5])
@pytest.mark.parametrize("adapts", PARTS)
def test_reptile_of_a_part_ends_with_one_plain_step_on_the_rest(tasks, adapts, clip):
    batch, _, point = tasks
    part, expected = np.diag(PARTS[adapts]), []
    x = np.concatenate([batch.task.support.x["v"], batch.task.query.x["v"]], 1)
    y = np.concatenate([batch.task.support.y, batch.label], 1)
    for h, b in map(quadratic, x, y):
        end = point
        for _ in range(2):
            slope = part @ (h @ end - b)
            end = end - RATE * slope * (1 if clip is None else min(1, clip / np.linalg.norm(slope)))
        end = end - RATE * (np.eye(7) - part) @ (h @ end - b)
        expected.append(point - end)
    learner = make(reptile, inner_steps=2, inner_rate=RATE, adapts=adapts, inner=Inner(clip=clip))
    np.testing.assert_allclose(meta_gradient(learner, point, batch), np.mean(expected, 0), rtol=1e-10)


def step_by_hand(point, momentum, gradient):
    momentum = 0.9 * momentum + gradient
    return point - RATE * momentum, momentum


def test_an_inner_optimizer_is_optax_step_by_step(tasks):
    """Heavy-ball momentum, whose memory is linear: the meta-gradient is the transpose of a product of matrices."""
    batch, quadratics, point = tasks
    expected, ends = [], []
    for (hs, bs), (hq, bq) in quadratics:
        end, momentum = point, np.zeros(7)
        through, by_momentum = np.eye(7), np.zeros((7, 7))
        for _ in range(3):
            end, momentum = step_by_hand(end, momentum, hs @ end - bs)
            through, by_momentum = step_by_hand(through, by_momentum, hs @ through)
        ends.append(end)
        expected.append(through.T @ (hq @ end - bq))
    learner = make(
        maml, inner_steps=3, inner_rate=RATE, first_order=False, adapts="all",
        inner=Inner(optimizer=partial(optax.sgd, momentum=0.9)),
    )  # fmt: skip
    adapt = jax.jit(jax.vmap(lambda task: learner.adapt(params_of(point), task.context, task.support).params))
    fast = adapt(batch.task)
    got = [flat(jax.tree.map(lambda values, t=t: values[t], fast)) for t in range(2)]
    np.testing.assert_allclose(got, ends, rtol=1e-10)
    np.testing.assert_allclose(meta_gradient(learner, point, batch), np.mean(expected, 0), rtol=1e-10)


LOOPS = {
    "adam": Inner(optimizer=partial(optax.adam, eps_root=1e-6)),
    "clip": Inner(clip=0.5),
    "remat": Inner(remat=True),
}


@pytest.mark.parametrize("loop", LOOPS)
def test_every_loop_is_differentiated(problem, derivative_error, loop):
    model = make_model(partial(features, width=2), partial(mlp, hidden=(3,)), problem.spec, mse())
    settings = {"inner_steps": 3, "inner_rate": 0.05, "first_order": False, "adapts": "all"}
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))
    params = model.init(jax.random.key(0))
    learner = maml(spec=problem.spec, model=model, objective=mse(), inner=LOOPS[loop], **settings)
    assert derivative_error(learner, params, batch) < 1e-6


@pytest.mark.parametrize("fast_weights", ["dense", "factored"])
def test_truncated_it_is_the_derivative_with_the_first_steps_change_held_constant(
    problem, derivative_error, fast_weights
):
    """In what adapts and in what does not, by finite differences."""
    model = make_model(partial(features, width=2), partial(mlp, hidden=(3,)), problem.spec, mse())
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))
    params = to_double(model.init(jax.random.key(0)))

    def learner(steps, fast_weights="dense", truncate=None):
        return maml(
            spec=problem.spec, model=model, objective=mse(), inner_steps=steps, inner_rate=0.05, first_order=False,
            adapts="head", inner=Inner(fast_weights=fast_weights, truncate=truncate),
        )  # fmt: skip

    def held(at, context, support):
        end = learner(3).adapt(params, context, support).params["scorer"]
        moved = jax.tree.map(lambda now, start, end: now + (end - start), at["scorer"], params["scorer"], end)
        return learner(2).adapt(at | {"scorer": moved}, context, support)

    truncated = learner(5, fast_weights, 2)
    assert derivative_error(truncated._replace(adapt=held), params, batch) < 1e-6
    assert derivative_error(truncated, params, batch) > 1e-3  # of the whole way it is not


def test_truncated_steps_go_where_all_go_and_their_rates_are_learned():
    """On ``h w^2 / 2``, two steps: ``w - r1 g1``, with ``g1 = h w`` a constant, times ``1 - r2 h``."""
    h, w, rates = 0.7, jnp.array(2.0), jnp.array([0.3, 0.1])

    def descend(start, rates, settings=PLAIN):
        return inner.descend(lambda w: h * w, start, settings, steps=2, rate=lambda number: rates[number])

    end, each = descend(w, rates, Inner(truncate=1))
    for got, wanted in zip((end, each), descend(w, rates), strict=True):
        np.testing.assert_array_equal(got, wanted)
    by_start, by_rates = jax.grad(lambda *at: descend(*at, Inner(truncate=1))[0], (0, 1))(w, rates)
    last = 1 - rates[1] * h
    np.testing.assert_allclose(by_start, last, rtol=1e-12)
    np.testing.assert_allclose(by_rates, [-last * h * w, -h * each[0]], rtol=1e-12)


def test_of_first_order_there_is_nothing_to_truncate():
    with pytest.raises(UserError, match=r"learner\.inner\.truncate=2 needs learner\.first_order=false"):
        make(maml, inner_steps=3, inner_rate=RATE, first_order=True, inner=Inner(truncate=2), adapts="head")


def test_a_task_without_support_does_not_spoil_a_clipped_gradient(tasks):
    batch, _, point = tasks
    support = batch.task.support._replace(mask=jnp.zeros((2, 4), bool))
    batch = batch._replace(task=batch.task._replace(support=support))
    settings = {"inner_steps": 2, "inner_rate": RATE, "first_order": False, "adapts": "all"}
    clipped, plain = (meta_gradient(make(maml, **settings, inner=Inner(clip=clip)), point, batch) for clip in (1, None))
    np.testing.assert_allclose(clipped, plain, rtol=1e-12)


def test_clipping_is_by_the_norm_of_the_whole():
    gradient = {"a": jnp.array([3.0, 0.0]), "b": jnp.array(4.0)}
    np.testing.assert_allclose(inner.clipped(gradient, 1.0)["b"], 0.8)
    np.testing.assert_allclose(inner.clipped(gradient, 6.0)["b"], 4.0)


def temporary(steps, settings=PLAIN, *, forward=False):
    """Bytes that the compiled meta-gradient of a loop of so many steps sets aside, with a loss of many entries."""

    def loss(start):
        fall = lambda fast: jnp.sum(jnp.sin(fast["w"]) ** 2)  # noqa: E731
        return jnp.sum(inner.descend(jax.grad(fall), start, settings, steps=steps, rate=0.1)[0]["w"] ** 2)

    shapes = {"w": jax.ShapeDtypeStruct((1000,), jnp.float64)}
    analysis = jax.jit(loss if forward else jax.grad(loss)).lower(shapes).compile().memory_analysis()
    return analysis.temp_size_in_bytes


def test_where_each_step_ends_is_not_kept_unless_asked_for():
    assert temporary(200, forward=True) < 2 * temporary(2, forward=True) + 10_000


def test_remat_keeps_the_parameters_of_each_step_alone():
    """8,000 bytes a step, and no more."""
    grows = [(temporary(200, Inner(remat=remat)) - temporary(100, Inner(remat=remat))) / 100 for remat in (False, True)]
    assert grows[1] < 8_100 < 15_000 < grows[0]


def test_of_truncated_steps_nothing_is_kept():
    assert temporary(200, Inner(truncate=20)) < 1.1 * temporary(20)


def test_that_nothing_could_adapt_is_said():
    with pytest.raises(UserError, match=r"learner\.adapts=bias: this encoder and scorer have no such parameter"):
        inner.chosen({"tables": {}, "encoder": {}, "scorer": {"w": jnp.ones(3)}}, "bias")


@pytest.mark.parametrize("adapts", ["head", "all", "lora"])
@pytest.mark.parametrize("fast_weights", ["auto", "factored"])
def test_no_steps_is_the_unadapted_model(problem, adapts, fast_weights):
    """The first row of an ablation of inner steps: trained by the query loss of the parameters as they are."""
    model = make_model(partial(features, width=2), partial(mlp, hidden=(3,)), problem.spec, mse())
    settings = {"spec": problem.spec, "model": model, "objective": mse(), "inner_rate": 0.1, "first_order": False}
    none, two = (
        maml(inner_steps=steps, adapts=adapts, inner=Inner(fast_weights=fast_weights), **settings) for steps in (0, 2)
    )
    batch = to_double(problem.test["user_cold"]._replace(progress=np.float32(1)))
    params, task = to_double(two.init(jax.random.key(0))), jax.tree.map(lambda leaf: leaf[0], batch.task)
    assert none.steps == 0
    scores = [
        learner.predict(learner.adapt(params, task.context, task.support, 0), task.query) for learner in (none, two)
    ]
    np.testing.assert_allclose(*scores, rtol=1e-6)
    gradient, reported = none.meta_grad(params, batch, jax.random.key(0))
    assert np.isfinite(reported["loss"])
    assert any(np.any(np.asarray(leaf) != 0) for leaf in jax.tree.leaves(gradient))
