"""Prototypes and their expectation against numpy."""

import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.protonet import protonet
from recmeta.objectives import mse
from recmeta.types import DataSpec, Encoding, Model, Query, Support

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
