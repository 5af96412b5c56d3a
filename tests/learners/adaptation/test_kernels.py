"""Matrices held as factors are the matrices, exactly."""

from functools import partial

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recmeta.encoders.features import features
from recmeta.learners.adaptation import inner, kernels
from recmeta.learners.adaptation.inner import PLAIN, Inner, adapt, descend
from recmeta.learners.finetune import finetune
from recmeta.learners.maml import maml
from recmeta.learners.maml_pp import maml_pp
from recmeta.learners.reptile import reptile
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.scorers.mlp import mlp
from recmeta.types import DataSpec, Encoding, Field, Support, UserError
from tests.learners.conftest import to_double

RATE = 0.1


@pytest.fixture(scope="module")
def batch(problem):
    """Three tasks of 5, 3 and 0 support rows."""
    batch = problem.gather(problem.train, problem.draw(jax.random.key(3), problem.train, 3))
    mask = jnp.arange(5) < jnp.array([5, 3, 0])[:, None]
    return batch._replace(task=batch.task._replace(support=batch.task.support._replace(mask=mask)))


def outcome(problem, batch, learner, hidden, **settings):
    """The predictions and the meta-gradient, in double precision, as one vector."""
    with jax.enable_x64():
        model = make_model(partial(features, width=2), partial(mlp, hidden=hidden), problem.spec, mse())
        made = learner(spec=problem.spec, model=model, objective=mse(), inner_rate=RATE, **settings)
        params, tasks = to_double(made.init(jax.random.key(0))), to_double(batch)

        @jax.jit
        def both(params, tasks):
            adapt = lambda task: made.predict(made.adapt(params, task.context, task.support), task.query)  # noqa: E731
            return jax.vmap(adapt)(tasks.task), made.meta_grad(params, tasks, jax.random.key(0))[0]

        return np.asarray(jax.flatten_util.ravel_pytree(both(params, tasks))[0])


def check(problem, batch, learner, hidden, settings=PLAIN, **rest):
    dense, factored = (
        outcome(problem, batch, learner, hidden, inner=settings._replace(fast_weights=choice), **rest)
        for choice in ("dense", "factored")
    )
    assert np.abs(dense[12:]).max() > 0.1
    np.testing.assert_allclose(factored, dense, rtol=1e-10, atol=1e-10)


# Each compiles programs of its own: three of the nine in the quick suite, in which every depth and number is once.
QUICK = {(1, (4, 3, 3)), (2, (4, 3)), (5, (4,))}
GRID = [
    pytest.param(steps, hidden, marks=() if (steps, hidden) in QUICK else pytest.mark.slow, id=f"{steps}-{hidden}")
    for steps in (1, 2, 5)
    for hidden in ((4,), (4, 3), (4, 3, 3))
]


@pytest.mark.parametrize(("steps", "hidden"), GRID)
def test_maml_is_the_same(problem, batch, steps, hidden):
    check(problem, batch, maml, hidden, inner_steps=steps, first_order=False, adapts="head")


def test_maml_of_everything_is_the_same(problem, batch):
    check(problem, batch, maml, (4, 3), inner_steps=2, first_order=False, adapts="all")


def test_maml_of_first_order_is_the_same(problem, batch):
    """A slip that predictions don't show: both factors are constants then."""
    check(problem, batch, maml, (4, 3), inner_steps=2, first_order=True, adapts="all")


def test_truncated_maml_is_the_same(problem, batch):
    """The first layer's inputs stay: constants in the first two steps, and differentiated in the last."""
    check(problem, batch, maml, (4, 3), inner_steps=3, settings=Inner(truncate=1), first_order=False, adapts="head")


def test_reptile_and_finetune_are_the_same(problem, batch):
    check(problem, batch, reptile, (4, 3), inner_steps=2, adapts="all")
    check(problem, batch, finetune, (4,), inner_steps=1, adapts="head")


def test_every_step_on_the_way_is_the_same(problem, batch):
    check(
        problem, batch, maml_pp, (4,), inner_steps=2, multi_step_until=1.0, first_order_until=0.0, adapts="head"
    )  # the losses after both steps count


def test_one_step_by_hand():
    """One linear layer, squared errors: minus the rate times inputs.T @ slopes."""
    rng = np.random.default_rng(0)
    kernel, rows, label = (jnp.asarray(rng.normal(size=shape)) for shape in ((3, 1), (4, 3), (4,)))

    def loss(fast):
        return jnp.square((rows @ fast["kernel"])[:, 0] - label).mean()

    gradient, start, place = kernels.factor(
        loss, {"kernel": kernel}, frozenset({("kernel",)}), steps=1, constant=0, choice="factored"
    )
    end, _ = descend(gradient, start, steps=1, rate=RATE)
    factors = place(end)["kernel"]
    np.testing.assert_array_equal(factors.inputs, rows)
    slopes = 2 / 4 * ((rows @ kernel)[:, 0] - label)
    np.testing.assert_allclose(factors.change[:, 0], -RATE * slopes, rtol=1e-5)
    x = jnp.asarray(rng.normal(size=(2, 3)))
    wanted = x @ (kernel - RATE * rows.T @ slopes[:, None])
    np.testing.assert_allclose(x @ kernels.Corrected(kernel, factors), wanted, rtol=1e-5)


def test_inputs_that_stay_are_known_from_the_program():
    matrices = {"first": jnp.ones((2, 3)), "second": jnp.ones((3, 1))}
    rows = jnp.ones((4, 2))

    def loss(fast):
        return (jax.nn.relu(rows @ fast["first"]) @ fast["second"]).sum()

    paths = frozenset({("first",), ("second",)})
    factored = kernels.factor(loss, matrices, paths, steps=5, constant=0, choice="factored")
    assert factored.start["first"].shape == (4, 3)  # the change alone
    assert [part.shape for part in factored.start["second"]] == [(20, 3), (20, 1)]  # a place for every step's rows


@pytest.fixture(scope="module")
def wide():
    """A model of wide layers, and one task's encoding and support of ten rows."""
    spec = DataSpec(
        context=(Field("u", "categorical", 5),),
        row=(Field("id", "categorical", 9),),
        low=1,
        high=5,
        mean=3,
        like=4,
        levels=(1, 5),
        support=10,
        query=4,
        rows=100,
    )

    def make(width):
        return make_model(partial(features, width=width), partial(mlp, hidden=(width, width)), spec, mse())

    support = Support({"id": jnp.arange(10) % 9}, jnp.linspace(1, 5, 10), jnp.ones(10, bool))
    return make, {"u": jnp.array(1)}, support


def adapted(model, params, context, support, steps, choice):
    settings = Inner(fast_weights=choice)
    return adapt(model, mse(), params, context, support, settings, adapts="head", steps=steps, rate=RATE)


def test_auto_takes_what_is_smaller(wide):
    make, context, support = wide
    model = make(64)
    params = model.init(jax.random.key(0))
    for steps, deeper in ((1, kernels.Factors), (5, jax.Array)):
        fast = adapted(model, params, context, support, steps, "auto")["scorer"]
        assert isinstance(fast["row"], kernels.Factors)  # 10 rows, whatever the steps
        assert fast["context"].inputs.shape == (1, 64)  # the same for all rows: one
        assert isinstance(fast["layers"][0]["kernel"], deeper)  # 10 rows a step, against 64
        assert fast["layers"][1]["kernel"].shape == (64, 1)  # a column is smaller than any factors


@pytest.mark.slow
@pytest.mark.parametrize(("steps", "ratio"), [(1, 50), (2, 10), (5, 8)])
def test_wide_layers_take_a_fraction_of_the_memory(wide, steps, ratio):
    """Of the second-order meta-gradient, compiled: what one more task sets aside."""
    make, _, support = wide
    model = make(1024)
    shapes = jax.eval_shape(model.init, jax.random.key(0))
    rest = {name: part for name, part in shapes.items() if name != "scorer"}

    def temporary(choice, tasks):
        def one(params, user):
            context = {"u": user}
            fast = inner.with_fast(params, adapted(model, params, context, support, steps, choice))
            return model.score(fast, model.encode(fast, context, support, support.x)).sum()

        def loss(scorer, rest, users):
            return jax.vmap(partial(one, {**rest, "scorer": scorer}))(users).mean()

        users = jax.ShapeDtypeStruct((tasks,), jnp.int32)
        compiled = jax.jit(jax.grad(loss)).lower(shapes["scorer"], rest, users).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    dense, auto = (temporary(choice, 4) - temporary(choice, 1) for choice in ("dense", "auto"))
    assert dense > ratio * auto, (dense / 3e6, auto / 3e6)


@pytest.mark.parametrize("choice", ["dense", "factored"])
def test_fifty_steps_are_no_larger_a_program_than_one(wide, choice):
    """So that they compile in the same time. (Factors of one step have no place to be chosen for them.)"""
    make, context, support = wide
    model = make(8)
    params = model.init(jax.random.key(0))

    def lines(steps):
        def loss(params):
            fast = adapted(model, params, context, support, steps, choice)
            return model.score(inner.with_fast(params, fast), Encoding(jnp.ones((1, 8)), jnp.ones((4, 8)))).sum()

        return jax.jit(jax.grad(loss)).lower(params).as_text().count("\n")

    assert lines(50) == lines(2) > 100
    assert lines(2) < 1.1 * lines(1)


@pytest.mark.parametrize(
    ("setting", "name"),
    [({"clip": 1.0}, "learner.inner.clip"), ({"optimizer": optax.adam}, "learner.inner.optimizer")],
)
def test_only_plain_descent_has_factors(problem, setting, name):
    with pytest.raises(UserError, match=f"leave {name} null"):
        maml(
            spec=problem.spec, model=None, objective=mse(), inner_steps=1, inner_rate=RATE, first_order=False,
            adapts="head", inner=Inner(fast_weights="factored", **setting),
        )  # fmt: skip
