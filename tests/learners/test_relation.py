"""The relation module and its classes against numpy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.learners.relation import relate, relation
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


def test_the_module_is_one_layer_over_row_class_and_share_laid_end_to_end():
    rng = np.random.default_rng(1)
    draw = lambda *shape: rng.normal(size=shape)  # noqa: E731
    row, of_class, share, bias, out = draw(3, 5), draw(3, 5), draw(5), draw(5), draw(5)
    rows, places, shares = draw(4, 3), draw(2, 3), rng.uniform(size=2)
    layer = np.concatenate([row, of_class, share[None]])
    expected = np.array(
        [
            [np.maximum(np.concatenate([x, place, [s]]) @ layer + bias, 0) @ out for place, s in zip(places, shares)]  # noqa: B905
            for x in rows
        ]
    )
    with jax.enable_x64():
        weights = {"row": row, "class": of_class, "share": share, "bias": bias, "out": out}
        got = relate(jax.tree.map(jnp.array, weights), jnp.array(rows), jnp.array(places), jnp.array(shares))
    np.testing.assert_allclose(got, expected, rtol=1e-12)


@pytest.mark.parametrize("classes", GROUPS)
def test_classes_are_means_shrunk_and_predictions_expectations(key, classes):
    rng = np.random.default_rng(0)
    groups = GROUPS[classes]
    learner = relation(spec=SPEC, model=MODEL, objective=mse(), classes=classes, width=3, hidden=4)
    params = learner.init(key)
    assert "scorer" not in params
    rows = np.array(rng.normal(size=len(groups)), np.float32)
    params |= {"classes": params["classes"] | {"log_rows": jnp.array(rows)}}
    context = {"c": jnp.array([0.6])}
    xs, xq = (rng.normal(size=(n, 2)).astype(np.float32) for n in (6, 3))
    y, mask = np.array([1, 2, 4, 4, 1, 5], np.float32), np.array([1, 1, 1, 1, 1, 0], bool)
    support = Support({"v": jnp.array(xs)}, jnp.array(y), jnp.array(mask))
    fast = learner.adapt(params, context, support)

    space = np.asarray(params["space"])
    embed = lambda x: 0.6 * space[0] + x @ space[1:]  # noqa: E731
    members = [mask & np.isin(y, group) for group in groups]
    number, weight = np.array([member.sum() for member in members]), np.exp(rows)
    prior = np.asarray(params["classes"]["place"])
    places = [
        (embed(xs[member]).sum(0) + w * place) / (member.sum() + w)
        for member, w, place in zip(members, weight, prior, strict=True)
    ]
    np.testing.assert_allclose(fast.place, places, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(fast.share, number / (number + weight), rtol=1e-5)
    score = np.asarray(relate(params["relation"], jnp.array(embed(xq)), fast.place, fast.share))
    chance = np.exp(score) / np.exp(score).sum(1, keepdims=True)
    query = Query({"v": jnp.array(xq)}, jnp.ones(3, bool))
    np.testing.assert_allclose(learner.predict(fast, query), chance @ [np.mean(group) for group in groups], rtol=1e-5)
    unadapted = learner.adapt(params, context, support, 0)
    np.testing.assert_allclose(unadapted.place, prior, rtol=1e-6)
    np.testing.assert_array_equal(unadapted.share, 0)
