"""Encoders that need dropout, a frozen vector, others' rows, relations, or words; and two that can't be adapted."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
import numpy as np
from annotated_types import Ge, Le
from flax import nnx

from recmeta.models.fields import Fields, Table
from recmeta.models.layers import Constant
from recmeta.types import ENTITY, Background, DataSpec, Encoding, Transform

SIZE = 3
"""The width of a frozen vector."""


def id_size(spec: DataSpec) -> int:
    """How many codes ``x["id"]`` has."""
    return next(field.size for field in spec.row if field.name == "id")


def vectors(spec: DataSpec) -> np.ndarray:
    """A frozen vector for each code: those of a pretrained model, say."""
    return np.random.default_rng(0).normal(size=(id_size(spec), SIZE)).astype(np.float32)


class Both(nnx.Module):
    """Fields on both sides; an encoder of this file says what stands beside those of a row."""

    def __init__(self, spec: DataSpec, *, width: int, more: int, rngs: nnx.Rngs):
        self.context = Fields(spec.context, width=width, rngs=rngs)
        self.row = Fields(spec.row, width=width, rngs=rngs)
        self.widths = (self.context.width, self.row.width + more)

    def __call__(self, context, support, x):
        x = support.x if x is None else x
        rows = jnp.concatenate([self.row(x), self.beside(context, x)], axis=-1)
        return Encoding(self.context(context)[None], rows)

    def beside(self, context, x):
        raise NotImplementedError


class Dropped(Both):
    """Dropout on the fields of a row."""

    def __init__(self, spec, *, width, rate, rngs):
        super().__init__(spec, width=width, more=0, rngs=rngs)
        self.dropout = nnx.Dropout(rate, rngs=rngs)

    def __call__(self, context, support, x):
        rows = self.row(support.x if x is None else x)
        return Encoding(self.context(context)[None], self.dropout(rows))


class Noisy(Both):
    """Noise on the fields of a row, by a key that it asks for."""

    def __call__(self, context, support, x, key=None):
        rows = self.row(support.x if x is None else x)
        rows = rows if key is None else rows + jax.random.normal(key, rows.shape)
        return Encoding(self.context(context)[None], rows)


class Frozen(Both):
    """A frozen vector per item."""

    def __init__(self, spec, *, width, rngs):
        super().__init__(spec, width=width, more=SIZE, rngs=rngs)
        self.vectors = Constant(vectors(spec))

    def beside(self, context, x):
        return self.vectors[...][x["id"]]


class Remembers(Both):
    """The mean label that other meta-train users gave to an item, the mean of all where there are none."""

    def __init__(self, spec, background, *, width, rngs):
        super().__init__(spec, width=width, more=1, rngs=rngs)
        memory = background.memory
        self.mean, self.most = spec.mean, int(np.diff(memory.start).max())
        self.start, self.entity, self.label = Constant(memory.start), Constant(memory.entity), Constant(memory.label)

    def beside(self, context, x):
        first, last = self.start[...][x["id"]], self.start[...][x["id"] + 1]
        place = first[..., None] + jnp.arange(self.most)
        others = (place < last[..., None]) & (self.entity[...][place] != context[ENTITY])
        total = jnp.where(others, self.label[...][place], 0).sum(-1)
        return jnp.where(others.any(-1), total / jnp.maximum(others.sum(-1), 1), self.mean)[..., None]


class Propagates(Both):
    """The mean embedding of an item's neighbours in a relation of items."""

    def __init__(self, spec, background, *, relation, width, rngs):
        super().__init__(spec, width=width, more=width, rngs=rngs)
        self.table = Table(0.5 * rngs.params.normal((id_size(spec), width)))
        self.codes = id_size(spec)
        edges = background.relations[relation]
        assert edges.sides == ("row", "row")
        self.source, self.target, self.weight = (Constant(values) for values in edges[1:])

    def beside(self, context, x):
        weight, target = self.weight[...], self.target[...]
        total = jax.ops.segment_sum(self.table[...][self.source[...]] * weight[:, None], target, self.codes)
        mass = jax.ops.segment_sum(weight, target, self.codes)
        return (total / jnp.maximum(mass, 1e-6)[:, None])[x["id"]]


def letters(word: str) -> list[float]:
    """How often a, e and o are in a word: as if a pretrained model had read it."""
    return [float(word.count(letter)) for letter in "aeo"]


class Worded(nnx.Module):
    """A frozen vector for each word of a categorical feature of the task's entity, made from the word itself."""

    def __init__(self, spec: DataSpec, transform: Transform, *, feature: str, width: int, rngs: nnx.Rngs):
        self.row = Fields(spec.row, width=width, rngs=rngs)
        self.feature, self.widths = feature, (3, self.row.width)
        (fitted,) = [fitted for fitted in transform.state["context"] if fitted.name == feature]
        self.words = Constant(np.array([[0.0] * 3, *map(letters, fitted.state["vocabulary"])], np.float32))

    def __call__(self, context, support, x):
        return Encoding(self.words[...][context[self.feature]][None], self.row(support.x if x is None else x))


class Taken(Both):
    """A table that is looked up in a way that can't be followed."""

    def beside(self, context, x):
        return jnp.take(self.row.table[...], x["id"], axis=0)


class Dense(Both):
    """A dense layer that no adapter reaches."""

    def __init__(self, spec, *, width, rngs):
        super().__init__(spec, width=width, more=width, rngs=rngs)
        self.layer = nnx.Linear(self.row.width, width, rngs=rngs)

    def beside(self, context, x):
        return self.layer(self.row(x))


def dropped(
    *, spec: DataSpec, rngs: nnx.Rngs, width: Annotated[int, Ge(1)], rate: Annotated[float, Ge(0), Le(1)]
) -> Dropped:
    """Build a `Dropped`."""
    return Dropped(spec, width=width, rate=rate, rngs=rngs)


def noisy(*, spec: DataSpec, rngs: nnx.Rngs, width: Annotated[int, Ge(1)]) -> Noisy:
    """Build a `Noisy`."""
    return Noisy(spec, width=width, more=0, rngs=rngs)


def frozen(*, spec: DataSpec, rngs: nnx.Rngs, width: Annotated[int, Ge(1)]) -> Frozen:
    """Build a `Frozen`."""
    return Frozen(spec, width=width, rngs=rngs)


def remembers(*, spec: DataSpec, rngs: nnx.Rngs, background: Background, width: Annotated[int, Ge(1)]) -> Remembers:
    """Build a `Remembers`."""
    return Remembers(spec, background, width=width, rngs=rngs)


def propagates(
    *, spec: DataSpec, rngs: nnx.Rngs, background: Background, width: Annotated[int, Ge(1)], relation: str
) -> Propagates:
    """Build a `Propagates`."""
    return Propagates(spec, background, relation=relation, width=width, rngs=rngs)


def worded(
    *, spec: DataSpec, rngs: nnx.Rngs, transform: Transform, width: Annotated[int, Ge(1)], feature: str
) -> Worded:
    """Build a `Worded`."""
    return Worded(spec, transform, feature=feature, width=width, rngs=rngs)


def taken(*, spec: DataSpec, rngs: nnx.Rngs, width: Annotated[int, Ge(1)]) -> Taken:
    """Build a `Taken`."""
    return Taken(spec, width=width, more=width, rngs=rngs)


def dense(*, spec: DataSpec, rngs: nnx.Rngs, width: Annotated[int, Ge(1)]) -> Dense:
    """Build a `Dense`."""
    return Dense(spec, width=width, rngs=rngs)
