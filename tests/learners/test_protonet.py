"""Prototypes, their classes' likelihood and their expectation against numpy."""

from dataclasses import replace

import jax
import jax.flatten_util
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.protonet import protonet
from recmeta.objectives import bce, mse
from recmeta.types import Batch, DataSpec, Encoding, Model, Query, Support, Task

SPEC = DataSpec(
    context=(), row=(), low=1, high=5, mean=3.0, like=4, levels=(1.0, 2.0, 4.0, 5.0), support=6, query=3, rows=100
)
MODEL = Model(
    init=lambda key: {"encoder": {}, "tables": {}, "scorer": {"w": jnp.ones(2)}},
    encode=lambda params, context, support, x: Encoding(context["c"][None], (support.x if x is None else x)["v"]),
    score=lambda params, encoding: encoding.row[:, 0],
    widths=(1, 2),
)
GROUPS = {"rating": [[1.0], [2.0], [4.0], [5.0]], "liked": [[1.0, 2.0], [4.0, 5.0]]}


@pytest.mark.parametrize("classes", GROUPS)
def test_places_are_means_and_predictions_expectations(key, classes):
    rng = np.random.default_rng(0)
    groups = GROUPS[classes]
    learner = protonet(spec=SPEC, model=MODEL, objective=mse(), classes=classes, width=3)
    params = learner.init(key)
    assert "scorer" not in params
    np.testing.assert_allclose(params["prototypes"]["value"], [np.mean(group) for group in groups])
    prior = params["prototypes"] | {
        "log_rows": jnp.array(rng.normal(size=len(groups)), jnp.float32),
        "log_scale": jnp.float32(0.3),
    }
    params |= {"prototypes": prior}
    context = {"c": jnp.array([0.6])}
    xs, xq = (rng.normal(size=(n, 2)).astype(np.float32) for n in (6, 3))
    y, mask = np.array([1, 2, 4, 4, 1, 5], np.float32), np.array([1, 1, 1, 1, 1, 0], bool)
    support = Support({"v": jnp.array(xs)}, jnp.array(y), jnp.array(mask))
    fast = learner.adapt(params, context, support)

    space = np.asarray(params["space"])
    embed = lambda x: 0.6 * space[0] + x @ space[1:]  # noqa: E731
    weight = np.exp(np.asarray(prior["log_rows"]))
    places = []
    for number, group in enumerate(groups):
        rows = embed(xs[mask & np.isin(y, group)])
        places.append(
            (rows.sum(0) + weight[number] * np.asarray(prior["place"][number])) / (len(rows) + weight[number])
        )
    np.testing.assert_allclose(fast.place, places, rtol=1e-5, atol=1e-6)
    distance = ((embed(xq)[:, None] - np.array(places)) ** 2).sum(-1)
    chance = np.exp(-np.exp(0.3) * distance)
    expected = chance / chance.sum(1, keepdims=True) @ [np.mean(group) for group in groups]
    query = Query({"v": jnp.array(xq)}, jnp.ones(3, bool))
    np.testing.assert_allclose(learner.predict(fast, query), expected, rtol=1e-5)
    np.testing.assert_allclose(learner.adapt(params, context, support, 0).place, prior["place"], rtol=1e-6)


def test_a_label_between_levels_belongs_to_the_one_below(key):
    learner = protonet(spec=SPEC, model=MODEL, objective=mse(), classes="rating", width=3)
    params = learner.init(key)
    x = {"v": jnp.ones((1, 2))}

    def moved(label):
        place = learner.adapt(params, {"c": jnp.zeros(1)}, Support(x, jnp.array([label]), jnp.ones(1, bool))).place
        return np.flatnonzero(np.abs(place - params["prototypes"]["place"]).max(1) > 1e-6).tolist()

    assert [moved(label) for label in (0.5, 1.0, 1.9, 2.0, 3.9, 4.0, 9.0)] == [[0], [0], [0], [1], [1], [2], [3]]


def drawn(levels, number=3):
    """A batch of tasks of four support and three query rows; the last of each is missing in the first task."""
    rng = np.random.default_rng(1)
    real = lambda *shape: jnp.array(rng.normal(size=(number, *shape)))  # noqa: E731
    label = lambda rows: jnp.array(rng.choice(levels, (number, rows)))  # noqa: E731
    mask = jnp.ones((number, 4), bool).at[0, -1].set(False)
    task = Task({"c": real(1)}, Support({"v": real(4, 2)}, label(4), mask), Query({"v": real(3, 2)}, mask[:, 1:]))
    return Batch(task, label(3))


def test_of_two_prototypes_the_likelihood_is_logistic():
    """The log-odds of the upper class are the scaled difference of the squared distances, in closed form."""
    spec = replace(SPEC, levels=(0.0, 1.0), low=0, high=1, like=1)
    with jax.enable_x64():
        learner = protonet(spec=spec, model=MODEL, objective=bce(), classes="rating", width=3)
        params, batch = learner.init(jax.random.key(0)), drawn(spec.levels)
        params |= {"prototypes": params["prototypes"] | {"log_scale": jnp.array(0.3)}}
        loss = learner.meta_grad(params, batch, jax.random.key(0))[1]["loss"]
        expected, space = [], np.asarray(params["space"])
        for number in range(3):
            task = jax.tree.map(lambda leaf, number=number: leaf[number], batch.task)
            places = np.asarray(learner.adapt(params, task.context, task.support).place)
            rows = np.asarray(task.context["c"]) * space[0] + np.asarray(task.query.x["v"]) @ space[1:]
            lower, upper = (((rows - place) ** 2).sum(1) for place in places)
            odds, sign = np.exp(0.3) * (lower - upper), np.where(batch.label[number] == 1, 1, -1)
            expected.append(np.log1p(np.exp(-sign * odds))[np.asarray(task.query.mask)].mean())
    np.testing.assert_allclose(loss, np.mean(expected), rtol=1e-10)


def test_the_gradient_of_the_likelihood_by_finite_differences():
    with jax.enable_x64():
        learner = protonet(spec=SPEC, model=MODEL, objective=mse(), classes="rating", width=3)
        batch = drawn(SPEC.levels)
        flat, restore = jax.flatten_util.ravel_pytree(learner.init(jax.random.key(0)))
        meta_grad = jax.jit(lambda flat: learner.meta_grad(restore(flat), batch, jax.random.key(0)))
        gradient = np.asarray(jax.flatten_util.ravel_pytree(meta_grad(flat)[0])[0])
        for way in np.random.default_rng(0).normal(size=(5, len(flat))):
            step = 1e-5 * way / np.linalg.norm(way)
            numeric = meta_grad(flat + step)[1]["loss"] - meta_grad(flat - step)[1]["loss"]
            np.testing.assert_allclose(numeric, 2 * gradient @ step, rtol=1e-6, atol=1e-14)


def test_discrete_are_classes_and_real_labels_are_regressed_with_a_note():
    made = lambda spec=SPEC, **settings: protonet(  # noqa: E731
        spec=spec, model=MODEL, objective=mse(), **{"classes": "rating", "width": 3} | settings
    )
    many = replace(SPEC, discrete=False)
    assert (made().ignores, made().departs, made().notes) == (("objective",), (), ())
    assert made(loss="objective").departs == (("learner.loss", "regression"),)
    regressed = made(many)
    assert (regressed.ignores, regressed.departs) == ((), (("learner.loss", "regression"),))
    assert "more than a few levels" in regressed.notes[0]
    assert made(many, classes="liked").departs == made(many, loss="class").departs == ()
