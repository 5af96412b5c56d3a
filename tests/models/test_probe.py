"""What a probe refuses and what it lets pass: every encoder and scorer of recmeta under everything that adapts."""

import typing
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from recmeta.encoders.features import features
from recmeta.encoders.gru import gru
from recmeta.encoders.ids import ids
from recmeta.encoders.tower import tower
from recmeta.learners.adaptation import adapters, inner
from recmeta.models.fields import Fields, Table
from recmeta.models.layers import Constant, Kernel, Linear
from recmeta.models.model import make_model
from recmeta.models.probe import probe
from recmeta.objectives import mse
from recmeta.scorers.dot import dot
from recmeta.scorers.mlp import mlp
from recmeta.types import Encoding, UserError

OWN = {
    "ids": partial(ids, width=2),
    "features": partial(features, width=2),
    "gru": partial(gru, width=2, state=2),
    "prompt": partial(gru, width=2, state=2, prompt=1),
    "tower": partial(tower, width=2, hidden=(3,), norm=True),
}
SCORERS = {"dot": partial(dot, width=2), "mlp": partial(mlp, hidden=(3,), norm=True)}

WITHOUT_NORM = {(encoder, "dot") for encoder in OWN if encoder != "tower"}


def probed(problem, encoder, scorer=SCORERS["dot"]):
    return probe(make_model(encoder, scorer, problem.spec, mse()), problem.validation.task)


@pytest.mark.parametrize("scorer", SCORERS)
@pytest.mark.parametrize("encoder", OWN)
def test_our_own_pass_whatever_adapts(problem, encoder, scorer):
    model = probed(problem, OWN[encoder], SCORERS[scorer])
    assert model.unreached == set()
    for adapts in typing.get_args(inner.Adapts):
        fitted, name = adapters.fitted(model, adapts)
        params = jax.eval_shape(fitted.init, jax.random.key(0))
        if (adapts == "prompt" and encoder != "prompt") or (adapts == "norm" and (encoder, scorer) in WITHOUT_NORM):
            continue  # there is no such parameter, which is refused for that
        assert inner.chosen(params, name)


class Row(nnx.Module):
    """Fields of the context, and of a row whatever a test makes of its ids."""

    def __init__(self, spec, rngs, *, act, **parts):
        self.context = Fields(spec.context, width=2, rngs=rngs)
        self.act, self.widths = act, (self.context.width, 2)
        for name, part in parts.items():
            setattr(self, name, part)

    def __call__(self, context, support, x):
        return Encoding(self.context(context)[None], self.act(self, (support.x if x is None else x)["id"]))


def row(act, **parts):
    """An encoder of parts, each made of (size of ids, rngs)."""

    def encoder(*, spec, rngs):
        size = next(field.size for field in spec.row if field.name == "id")
        return Row(spec, rngs, act=act, **{name: make(size, rngs) for name, make in parts.items()})

    return encoder


def table(size, rngs):
    return Table(rngs.params.normal((size, 2)))


def param(size, rngs):
    return nnx.Param(rngs.params.normal((size, 2)))


LOOPED = lambda self, i: jax.lax.scan(lambda _, one: (0, self.table[...][one]), 0, i)[1]  # noqa: E731
REFUSED = {
    "take": (row(lambda self, i: jnp.take(self.table[...], i, axis=0), table=table), "encoder.table: this table"),
    "one hot": (row(lambda self, i: jax.nn.one_hot(i, 31) @ self.table[...], table=table), "encoder.table: this table"),
    "in a loop": (row(LOOPED, table=table), "encoder.table: this table"),
    "slice": (row(lambda self, i: self.table[...][0 : len(i)], table=table), "encoder.table: this table"),
    "embed": (
        row(lambda self, i: self.embed(i), embed=lambda size, rngs: nnx.Embed(size, 2, rngs=rngs)),
        "encoder.embed.embedding: the encoder looks rows up in it",
    ),
    "param": (row(lambda self, i: self.rows[...][i], rows=param), "encoder.rows: the encoder looks rows up in it"),
    "too wide": (
        row(lambda self, i: jnp.ones((len(i), 3)), table=table),
        "encoder: of 4 rows it gives context [1, 4] and row [4, 3]; by its widths",
    ),
    "too few": (row(lambda self, i: jnp.ones((1, 2)), table=table), "encoder: of 4 rows it gives"),
    "a plain array": (
        row(lambda self, i: self.plain[i], plain=lambda size, rngs: jnp.ones((size, 2))),
        "encoder.plain is a plain array: hold it as recmeta.models.layers.Constant",
    ),
    "a numpy array": (
        row(lambda self, i: jnp.asarray(self.plain)[i], plain=lambda size, rngs: np.ones((size, 2))),
        "encoder.plain is a plain array: hold it as recmeta.models.layers.Constant",
    ),
    "batch norm": (
        row(
            lambda self, i: self.norm(self.table[...][i]), table=table,
            norm=lambda size, rngs: nnx.BatchNorm(2, rngs=rngs),
        ),
        "encoder.norm.mean is a BatchStat, which is neither trained nor constant",
    ),
    "whole numbers": (
        row(lambda self, i: self.codes[...][i], codes=lambda size, rngs: nnx.Param(jnp.ones((size, 2), int))),
        "encoder.codes is a Param of int32, which has no gradient",
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", REFUSED)
def test_refused_in_a_line(problem, name):
    encoder, line = REFUSED[name]
    with pytest.raises(UserError) as refused:
        probed(problem, encoder)
    assert str(refused.value).startswith(line)
    assert "\n" not in str(refused.value)


def test_the_table_that_is_looked_up_wrong_is_the_one_that_is_named(problem):
    act = lambda self, i: self.good[...][i] + jnp.take(self.wrong[...], i, axis=0)  # noqa: E731
    with pytest.raises(UserError, match=r"^encoder\.wrong: this table"):
        probed(problem, row(act, good=table, wrong=table))


def test_rows_of_constants_may_be_looked_up_in_any_way(problem):
    constant = lambda size, rngs: Constant(jnp.ones((size, 2)))  # noqa: E731
    probed(problem, row(lambda self, i: jnp.take(self.vectors[...], i, axis=0), vectors=constant))


def over(make, act=lambda self, i: self.layer(self.table[...][i])):
    return row(act, table=table, layer=make)


DENSE = {
    "theirs": (over(lambda size, rngs: nnx.Linear(2, 2, rngs=rngs)), "encoder.layer.kernel"),
    "a matrix": (
        over(lambda size, rngs: nnx.Param(jnp.eye(2)), lambda self, i: self.table[...][i] @ self.layer[...]),
        "encoder.layer",
    ),
    "transposed": (
        over(lambda size, rngs: nnx.Param(jnp.eye(2)), lambda self, i: self.table[...][i] @ self.layer[...].T),
        "encoder.layer",
    ),
    "compiled": (
        over(
            lambda size, rngs: nnx.Param(jnp.eye(2)),
            lambda self, i: jax.jit(jnp.matmul)(self.table[...][i], self.layer[...]),
        ),
        "encoder.layer",
    ),
    "ours": (over(lambda size, rngs: Linear(2, 2, rngs=rngs)), None),
    "a kernel": (
        over(lambda size, rngs: Kernel(jnp.eye(2)), lambda self, i: self.table[...][i] @ self.layer[...]), None
    ),
}  # fmt: skip


@pytest.mark.parametrize("adapts", ["lora", "film", {"lora": 1}])
@pytest.mark.parametrize("name", DENSE)
def test_a_dense_layer_that_no_adapter_reaches_is_refused_where_one_is_asked_for(problem, name, adapts):
    encoder, path = DENSE[name]
    model = probed(problem, encoder)
    adapters.fitted(model, "all")
    if path is None:
        adapters.fitted(model, adapts)
        return
    with pytest.raises(UserError, match=f"no adapter reaches {path}, a dense layer's matrix: use") as refused:
        adapters.fitted(model, adapts)
    assert "\n" not in str(refused.value)


def test_a_scorer_that_draws_is_refused(problem):
    class Drops(nnx.Module):
        def __init__(self, widths, rngs):
            self.drop = nnx.Dropout(0.5, rngs=rngs)

    with pytest.raises(UserError, match=r"^scorer: it draws random numbers"):
        make_model(OWN["ids"], lambda *, widths, rngs: Drops(widths, rngs), problem.spec, mse())


def test_one_that_asks_for_what_the_problem_lacks_is_refused(problem):
    with pytest.raises(UserError, match=r"^encoder: it asks for the background"):
        make_model(lambda *, spec, rngs, background: None, SCORERS["dot"], problem.spec, mse())
    with pytest.raises(UserError, match=r"^encoder: it asks for the transform"):
        make_model(lambda *, spec, rngs, transform: None, SCORERS["dot"], problem.spec, mse())
