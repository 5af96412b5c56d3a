"""Data on the host: raw columns, entities, interactions, and the sizes that a model needs."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np


@dataclass(frozen=True)
class Column:
    """One feature of every entity, raw: nothing is fitted to it yet.

    Attributes:
        kind: the name of its kind (`recmeta.features.kinds`).
        values: ``[N, ...]``, as the kind has them; which are missing is the kind's to say.
        preparations: what is to be done, in order, before it is encoded.
        settings: what was declared beside its kind, and what a preparation leaves to its encoding; plain values.
    """

    kind: str
    values: np.ndarray
    preparations: tuple[Preparation, ...] = ()
    settings: Mapping[str, Any] = field(default_factory=dict)


class Fitted(NamedTuple):
    """The result of fitting a preparation on meta-train.

    ``state`` is saved with the run: plain values and numpy arrays.
    """

    state: Mapping[str, Any]
    counts: Mapping[str, int]
    note: str


class Preparation(NamedTuple):
    """A preparation of a column, fitted on the entities that meta-train has seen.

    Attributes:
        name: of the step and the feature, as "bucket item.year".
        gives: the kind of the column that it makes.
        fit: ``(column, seen) -> Fitted``; seen: bool ``[N]``, True where meta-train has the entity.
        apply: ``(column, state) -> Column``, of these entities or of one that is new. A function of a module: a saved
            run finds it by its name.
        sha256: of files that it reads beside the data, as pretrained weights; "": none.
    """

    name: str
    gives: str
    fit: Callable[[Column, np.ndarray], Fitted]
    apply: Callable[[Column, Mapping[str, Any]], Column]
    sha256: str = ""


class Transform(NamedTuple):
    """Everything that was fitted to features: encodes any user or item into the arrays that training used.

    Attributes:
        context: ``(features, id=None) -> {field: array}`` of the entity that is a task, without a leading axis.
            ``features`` are plain values by name; what is not there is missing, an id that meta-train has not unknown.
        row: the same of an entity that a task's rows are about.
        state: side -> what was fitted, as `recmeta.features.transform` saves it.
    """

    context: Callable[..., Mapping[str, np.ndarray]]
    row: Callable[..., Mapping[str, np.ndarray]]
    state: Mapping[str, Any]


@dataclass(frozen=True)
class Entities:
    """Users or items: raw ids (text, unique) and raw features, both in the order of the integer codes."""

    ids: np.ndarray
    features: Mapping[str, Column] = field(default_factory=dict)


class Relation(NamedTuple):
    """Pairs of users or items that belong together: a graph's edges, from each source to its target.

    Attributes:
        sides: which side the sources and the targets are of, "user" or "item".
        source, target: int32 ``[m]``, codes into ``users.ids`` or ``items.ids``.
        weight: float32 ``[m]``.
    """

    sides: tuple[str, str]
    source: np.ndarray
    target: np.ndarray
    weight: np.ndarray


@dataclass(frozen=True)
class Interactions:
    """A clean data set: one row per interaction, in a stated order, with raw feature tables.

    Attributes:
        name: the data set's name.
        user, item: int32 ``[n]``, codes into ``users.ids`` and ``items.ids``.
        label: float32 ``[n]``, within ``label_range``.
        time: int64 ``[n]`` in seconds, or None.
        users, items: who the codes stand for.
        label_range: the lowest and highest label possible.
        like: the label from which an interaction counts as liked.
        counts: what came in, what was dropped and why, what is left; printed and stored.
        sha256: of all of the above; the data hash.
        notes: lines for the user (what was inferred, the licence).
        attainable: the best expected error any method can reach, per metric, where it is known (synthetic worlds).
        weight: float32 ``[n]``, how much a row counts in a loss, at least 0; None: all alike.
        propensity: float32 ``[n]``, the probability with which a row was observed, in (0, 1]; None: not known.
        relations: name -> pairs of users or items.
        part: int8 ``[n]``, the part of a split that the files themselves give each row: 0 train, 1 validation, 2 test;
            None: they give none. Only ``protocol=manifest`` goes by it.
        default_like: whether ``like`` is the default, three quarters up the label range, because nobody set it.
    """

    name: str
    user: np.ndarray
    item: np.ndarray
    label: np.ndarray
    time: np.ndarray | None
    users: Entities
    items: Entities
    label_range: tuple[float, float]
    like: float
    counts: Mapping[str, int]
    sha256: str
    notes: Sequence[str] = ()
    attainable: Mapping[str, float] | None = None
    weight: np.ndarray | None = None
    propensity: np.ndarray | None = None
    relations: Mapping[str, Relation] = field(default_factory=dict)
    part: np.ndarray | None = None
    default_like: bool = False


@dataclass(frozen=True, order=True)
class Field:
    """One feature as a model reads it: its kind, and its size.

    Of a vocabulary that is its values and 0, the unknown one; of numbers, these and one that says what is missing.
    Fields have an order so that they may be keys of a pytree.
    """

    name: str
    kind: str
    size: int


@dataclass(frozen=True)
class DataSpec:
    """All sizes and ranges a component may ask for. Fitted on meta-train only.

    Attributes:
        context: fields of the task's entity; without "id" where the protocol presents it as new at every visit.
        row: fields of a row's entity, "id" among them.
        low, high: label range.
        mean: mean label of the meta-train rows.
        like: the label from which a row counts as liked.
        levels: the distinct labels seen in meta-train, ascending (at most 20; else evenly spaced over the range).
        support: the most support rows a task has; query: the most query rows.
        rows: how many labelled rows meta-train has.
        discrete: whether ``levels`` are all labels there are, and not places in a range.
        shares: of each level among the labels of meta-train, where they are few; else empty.
    """

    context: tuple[Field, ...]
    row: tuple[Field, ...]
    low: float
    high: float
    mean: float
    like: float
    levels: tuple[float, ...]
    support: int
    query: int
    rows: int
    discrete: bool = True
    shares: tuple[float, ...] = ()
