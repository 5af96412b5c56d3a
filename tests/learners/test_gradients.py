"""Meta-gradients against finite differences and closed forms, in double precision."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.learners.joint import joint
from recmeta.learners.maml import maml
from recmeta.learners.reptile import reptile
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.dot import dot
from recmeta.types import Batch, Encoding, Model, Query, Support, Task

RATE = 0.1


@pytest.fixture
def double():
    with jax.enable_x64():
        yield


@pytest.mark.parametrize("adapts", ["head", "body", "all", "bias"])
def test_maml_is_the_derivative_of_the_query_loss_after_adaptation(problem, derivative_error, adapts):
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    learner = maml(
        spec=problem.spec,
        model=model,
        objective=mse(),
        inner_steps=2,
        inner_rate=0.05,
        first_order=False,
        adapts=adapts,
    )
    batch = problem.gather(problem.train, problem.draw(jax.random.key(1), problem.train, 3))
    assert derivative_error(learner, model.init(jax.random.key(0)), batch) < 1e-6


def linear() -> Model:
    """Rows as they are; a linear head."""
    return Model(
        init=lambda key: {"tables": {}, "encoder": {}, "scorer": {"w": jax.random.normal(key, (3,))}},
        encode=lambda params, context, support, x: Encoding(jnp.zeros((1, 1)), (support.x if x is None else x)["v"]),
        score=lambda params, encoding: encoding.row @ params["scorer"]["w"],
        widths=(1, 3),
    )


def make_batch():
    """Two tasks with up to 4 support rows, the second with 2, and 3 query rows, the first with 2."""
    rng = np.random.default_rng(0)
    xs, ys, xq, yq = (rng.normal(size=shape) for shape in ((2, 4, 3), (2, 4), (2, 3, 3), (2, 3)))
    ms, mq = np.array([[1, 1, 1, 1], [1, 1, 0, 0]], bool), np.array([[1, 1, 0], [1, 1, 1]], bool)
    arrays = map(jnp.asarray, (xs, ys, ms, xq, mq, yq))
    xs_, ys_, ms_, xq_, mq_, yq_ = arrays
    batch = Batch(Task({}, Support({"v": xs_}, ys_, ms_), Query({"v": xq_}, mq_)), yq_)
    support = [(x[m], y[m]) for x, y, m in zip(xs, ys, ms, strict=True)]
    query = [(x[m], y[m]) for x, y, m in zip(xq, yq, mq, strict=True)]
    return batch, list(zip(support, query, strict=True)), rng.normal(size=3)


def meta_grad(learner, w, batch):
    """By a compiled program: op by op it takes ten times as long."""
    return jax.jit(learner.meta_grad)(params_of(w), batch, jax.random.key(0))


def slope(w, x, y):
    return 2 / len(y) * x.T @ (x @ w - y)


def params_of(w):
    return {"tables": {}, "encoder": {}, "scorer": {"w": jnp.asarray(w)}}


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("first_order", [False, True])
@pytest.mark.parametrize("adapts", ["head", "all"])
def test_one_step_on_a_quadratic_in_closed_form(first_order, adapts):
    """MAML: ``(I - rate H) q(w - rate s(w))``. FOMAML: the plain query gradient at the adapted point."""
    batch, tasks, w = make_batch()
    learner = maml(
        spec=None,
        model=linear(),
        objective=mse(),
        inner_steps=1,
        inner_rate=RATE,
        first_order=first_order,
        adapts=adapts,
    )
    expected, losses = [], []
    for (xs, ys), (xq, yq) in tasks:
        adapted = w - RATE * slope(w, xs, ys)
        through = np.eye(3) if first_order else np.eye(3) - RATE * 2 / len(ys) * xs.T @ xs
        expected.append(through @ slope(adapted, xq, yq))
        losses.append(np.mean((xq @ adapted - yq) ** 2))
    gradient, reported = meta_grad(learner, w, batch)
    np.testing.assert_allclose(gradient["scorer"]["w"], np.mean(expected, axis=0), rtol=1e-10)
    np.testing.assert_allclose(reported["loss"], np.mean(losses), rtol=1e-10)


@pytest.mark.usefixtures("double")
def test_first_order_after_several_steps_is_the_plain_gradient_at_the_adapted_point():
    batch, tasks, w = make_batch()
    learner = maml(
        spec=None, model=linear(), objective=mse(), inner_steps=3, inner_rate=RATE, first_order=True, adapts="head"
    )
    adapt, expected = jax.jit(learner.adapt), []
    for t, ((xs, ys), (xq, yq)) in enumerate(tasks):
        adapted = w
        for depth in range(4):
            task = jax.tree.map(lambda values, t=t: values[t], batch.task)
            fast = adapt(params_of(w), task.context, task.support, depth)
            np.testing.assert_allclose(fast.params["scorer"]["w"], adapted, rtol=1e-10)
            if depth < 3:
                adapted = adapted - RATE * slope(adapted, xs, ys)
        expected.append(slope(adapted, xq, yq))
    gradient, _ = meta_grad(learner, w, batch)
    np.testing.assert_allclose(gradient["scorer"]["w"], np.mean(expected, axis=0), rtol=1e-10)


@pytest.mark.usefixtures("double")
@pytest.mark.parametrize("steps", [1, 3])
def test_reptile_is_the_way_to_where_descent_on_all_rows_ends(steps):
    batch, tasks, w = make_batch()
    learner = reptile(spec=None, model=linear(), objective=mse(), inner_steps=steps, inner_rate=RATE, adapts="all")
    expected, losses = [], []
    for (xs, ys), (xq, yq) in tasks:
        x, y = np.concatenate([xs, xq]), np.concatenate([ys, yq])
        adapted = w
        for _ in range(steps):
            adapted = adapted - RATE * slope(adapted, x, y)
        expected.append(RATE * slope(w, x, y) if steps == 1 else w - adapted)
        losses.append(np.mean((x @ w - y) ** 2))
    gradient, reported = meta_grad(learner, w, batch)
    np.testing.assert_allclose(gradient["scorer"]["w"], np.mean(expected, axis=0), rtol=1e-10)
    np.testing.assert_allclose(reported["loss"], np.mean(losses), rtol=1e-10)


@pytest.mark.usefixtures("double")
def test_joint_is_the_gradient_on_all_rows_and_never_adapts():
    batch, tasks, w = make_batch()
    learner = joint(spec=None, model=linear(), objective=mse())
    expected = [slope(w, np.concatenate([xs, xq]), np.concatenate([ys, yq])) for (xs, ys), (xq, yq) in tasks]
    gradient, _ = meta_grad(learner, w, batch)
    np.testing.assert_allclose(gradient["scorer"]["w"], np.mean(expected, axis=0), rtol=1e-10)
    task = jax.tree.map(lambda values: values[0], batch.task)
    np.testing.assert_array_equal(learner.adapt(params_of(w), task.context, task.support).params["scorer"]["w"], w)
    assert learner.steps == 0
