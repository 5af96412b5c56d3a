"""The values that flow through recmeta, and the interfaces of its parts.

Axis letters, everywhere: ``T`` tasks, ``S`` seeds, ``K`` support rows, ``n`` rows, ``d`` width.

A task is one *entity* (under ``user_cold``: a user) and rows about it. What is known of the entity is the task's
*context*; each row is another entity (an item) with a label. Nothing below says "user" or "item": which of them is the
task is the protocol's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

Params = PyTree
"""Meta-parameters: a dict of plain arrays. Embedding tables stand under ``params["tables"]``."""

Features = Mapping[str, Array]
"""Field name -> values, the leading axes being the rows'. Categorical: int ``[...]``, 0 = unknown. Multi-valued: int
``[..., m]``, 0 = nothing there. Numeric: float ``[..., 2]``: the standardised value (0 if missing), 1 if missing."""

Numbers = Mapping[str, Mapping[str, Any]]
"""Settings that leave shapes alone, by group and name: ``{"learner": {"inner_rate": 0.01}}``. What differs in nothing
else shares one compiled program, to which they are arguments: floats on the host, tracers inside."""


class Traced:
    """In a setting's annotation: it is one of the `Numbers`, so no Python may branch on its value."""


KINDS = ("categorical", "multi", "numeric")
"""The kinds of feature that a data set may declare."""


class UserError(Exception):
    """Something the user can put right: one line that says what, where, and what would be right. Exit code 2."""


class Diverged(UserError):
    """A training that could be run and came to no numbers: a result, if a bad one. Exit code 1."""


class Pruned(Exception):
    """A search gave a run up before its end; nothing failed.

    Attributes:
        step: at which it was.
        value: that it had on meta-validation, the mean over its seeds of each one's best so far.
    """

    def __init__(self, step: int, value: float) -> None:
        super().__init__(f"given up at step {step}, with {value:.4f} on meta-validation")
        self.step, self.value = step, value


# --- data, on the host --------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Column:
    """One feature of every entity, raw: nothing is fitted to it yet.

    Attributes:
        kind: one of `KINDS`.
        values: ``[N]``. categorical: ``str``, "" = unknown. multi: tuples of ``str``. numeric: float, NaN = missing.
        preparations: what is to be done, in order, before it is encoded (`recmeta.cleaning`).
        standard: numeric: whether the encoding takes off the mean and divides by the standard deviation.
    """

    kind: str
    values: np.ndarray
    preparations: tuple[Preparation, ...] = ()
    standard: bool = True


class Prepared(NamedTuple):
    """What a preparation made of a column: the column, counts to tell, and what was fitted, in words."""

    column: Column
    counts: Mapping[str, int]
    note: str


class Preparation(NamedTuple):
    """How a column is made ready by what meta-train has seen of it.

    Attributes:
        name: of the step and the feature, as "bucket item.year".
        gives: the kind of the column that it makes.
        fit: ``(column, seen) -> Prepared``; seen: bool ``[N]``, True where meta-train has the entity.
    """

    name: str
    gives: str
    fit: Callable[[Column, np.ndarray], Prepared]


@dataclass(frozen=True)
class Entities:
    """Users or items: raw ids (text, unique) and raw features, both in the order of the integer codes."""

    ids: np.ndarray
    features: Mapping[str, Column] = field(default_factory=dict)


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


@dataclass(frozen=True)
class Field:
    """What a model must know of one feature: its kind, and its size (vocabulary with 0 = unknown; numeric: 2)."""

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


# --- tasks, on the device -----------------------------------------------------------------------------------------


class Support(NamedTuple):
    """What the new entity has shown so far: ``x`` fields of ``[K, ...]``, labels ``y``, and which rows are there."""

    x: Features
    y: Float[Array, "*T K"]
    mask: Bool[Array, "*T K"]


class Query(NamedTuple):
    """What is to be scored. It holds no labels: these travel beside it, to the objective and the metrics only."""

    x: Features
    mask: Bool[Array, "*T n"]


class Task(NamedTuple):
    """One task, or with a leading axis a batch of them."""

    context: Features
    support: Support
    query: Query


class Batch(NamedTuple):
    """Tasks with a leading axis ``T``, and the query labels beside them.

    Attributes:
        task, label: of T tasks.
        progress: the share of all outer steps that is done, from 0 to below 1, the same for all tasks: what a learner
            anneals by. 1, the end of training, wherever nobody trains.
    """

    task: Task
    label: Float[Array, "T n"]
    progress: Float[Array, ""] | float = 1.0


class Candidates(NamedTuple):
    """What the query rows of many tasks are ranked among: one catalogue, and who may be ranked for whom.

    Attributes:
        entity: codes of the catalogue's entities, into ``Tasks.entities``.
        allowed: which of them are a task's candidates; its query rows are.
        position: where a task's query rows stand in the catalogue.
        there: which query rows are in the catalogue.
        information: how surprising each entity is, in bits (`recmeta.metrics.lists.self_information`).
    """

    entity: Int[Array, "N"]
    allowed: Bool[Array, "T N"]
    position: Int[Array, "T n"]
    there: Bool[Array, "T n"]
    information: Float[Array, "N"]


class Tasks(NamedTuple):
    """Many tasks, whole, as ragged rows: task ``t`` has rows ``start[t] : start[t] + size[t]``.

    The rows of a task stand in time order where there is one. ``contexts`` and ``entities`` are the feature tables
    that ``entity`` and ``row`` index. ``time`` is in seconds from an origin near the data, for they are 32 bits; None
    where the data has none.
    """

    entity: Int[Array, "T"]
    start: Int[Array, "T"]
    size: Int[Array, "T"]
    row: Int[Array, "n"]
    label: Float[Array, "n"]
    contexts: Features
    entities: Features
    time: Int[Array, "n"] | None = None


@dataclass(frozen=True)
class Split:
    """The manifest of who is trained on and who is tested on, row by row.

    Attributes:
        frame: a polars frame with columns ``scenario, role, task, row, part, position``: role is train, validation or
            test; part is pool (train: redrawn at each visit), support or query.
        sha256: of the frame; the protocol hash.
        counts: tasks and rows in and out, and what was dropped.
        leak: what in meta-train is later than what it helps to predict.
        notes: lines for the user: what the preparations of features have fitted.
    """

    frame: Any
    sha256: str
    counts: Mapping[str, int]
    leak: Mapping[str, float]
    notes: Sequence[str] = ()


class Problem(NamedTuple):
    """What a protocol makes of a data set.

    Attributes:
        spec: sizes and ranges.
        split: the manifest.
        train: meta-train tasks, to be redrawn at each visit.
        draw, gather: the sampler, pure: ``gather(tasks, draw(key, tasks, T)) -> Batch``. Only the first half needs
            randomness, and it is cheap to do for many steps at once.
        validation: meta-validation tasks with fixed supports and queries.
        test: scenario -> meta-test tasks with fixed supports and queries.
        names: scenario -> raw ids of the test tasks.
        shots: the support sizes to evaluate at, ascending; supports are nested.
        headline: the one that summaries are at.
        about: scenario -> what is known of each test task, a column each ``[T]``: for results by bucket.
        candidates: scenario, or "validation" -> what its query rows are ranked among; where it has none, themselves.
    """

    spec: DataSpec
    split: Split
    train: Tasks
    draw: Callable[[PRNGKeyArray, Tasks, int], PyTree]
    gather: Callable[[Tasks, PyTree], Batch]
    validation: Batch
    test: Mapping[str, Batch]
    names: Mapping[str, Sequence[str]]
    shots: tuple[int, ...]
    headline: int
    about: Mapping[str, Mapping[str, np.ndarray]] = MappingProxyType({})
    candidates: Mapping[str, Candidates] = MappingProxyType({})


# --- parts --------------------------------------------------------------------------------------------------------


class Encoding(NamedTuple):
    """Representations of rows.

    Attributes:
        context: ``[1, dc]`` where it is the same for all rows, else ``[n, dc]``.
        row: ``[n, dr]``.
    """

    context: Float[Array, "m dc"]
    row: Float[Array, "n dr"]


class Model(NamedTuple):
    """Encoder and scorer as pure functions over plain pytrees (`recmeta.model`).

    Attributes:
        init: ``key -> params``: a dict with "tables" (embedding tables), "encoder" and "scorer".
        encode: ``(params, context, support, x) -> Encoding`` of the rows ``x``; with ``x`` None, of the support rows
            themselves, each of which then sees only the support rows before it.
        score: ``(params, Encoding) -> [n]`` in the objective's units (labels under mse, logits under bce).
        widths: ``(dc, dr)``.
        kernels: the paths in ``params`` of the matrices that inputs are multiplied by, and nothing else: in their place
            may stand anything that stands on the right of ``x @``.
    """

    init: Callable[[PRNGKeyArray], Params]
    encode: Callable[[Params, Features, Support, Features | None], Encoding]
    score: Callable[[Params, Encoding], Float[Array, "n"]]
    widths: tuple[int, int]
    kernels: frozenset[tuple[Any, ...]] = frozenset()


class Objective(NamedTuple):
    """What is minimised, and in which units a score is.

    Attributes:
        loss: ``(score [n], label [n], mask [n]) -> scalar``: the mean over the rows that are there, 0 if none is.
        predict: score -> expected label.
        link: expected label -> score; the inverse of ``predict``.
        binary: whether labels must be 0 and 1.
    """

    loss: Callable[[Array, Array, Array], Array]
    predict: Callable[[Array], Array]
    link: Callable[[Array], Array]
    binary: bool


class Learner(NamedTuple):
    """How a task is adapted to: pure functions of ONE task; everything else is added from outside.

    Attributes:
        init: ``key -> params``.
        adapt: ``(params, context, support, depth=None) -> fast``: everything that `predict` needs. ``depth`` (an int
            or a traced scalar) is how many of the ``steps`` to take, None for all; 0 is the unadapted model.
        predict: ``(fast, query) -> scores [n]``.
        meta_grad: ``(params, batch, key) -> (gradients like params, {metric: scalar})``, over a batch of tasks.
        steps: how many steps `adapt` takes; 1 for closed forms, 0 for what never adapts.
    """

    init: Callable[[PRNGKeyArray], Params]
    adapt: Callable[..., PyTree]
    predict: Callable[[PyTree, Query], Float[Array, "n"]]
    meta_grad: Callable[[Params, Batch, PRNGKeyArray], tuple[Params, dict[str, Array]]]
    steps: int


MakeLearner = Callable[[Numbers], Learner]
"""What makes a learner of its numbers, which are tracers inside a compiled program."""


class Baseline(NamedTuple):
    """A closed-form method that every table carries.

    Attributes:
        fit: ``problem -> state``, from meta-train alone. Runs once, on the host.
        predict: ``(state, settings, key, context, support, query) -> scores [n]`` of one task; ``settings`` is a dict
            of scalars, one for each name in ``grid``.
        rates: whether scores are expected labels; where not, they only rank.
        grid: setting -> the values to try. All combinations are tried on meta-validation, at each support size.
    """

    fit: Callable[[Problem], PyTree]
    predict: Callable[[PyTree, Mapping[str, Array], PRNGKeyArray, Features, Support, Query], Float[Array, "n"]]
    rates: bool
    grid: Mapping[str, Sequence[float]] = MappingProxyType({})


# --- reporting, on the host ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Run:
    """What a reporter may know of a run when it starts.

    Attributes:
        name: the experiment's name; the folder and the W&B group.
        directory: ``outputs/<name>/<config hash>``; exists when reporters start.
        config: the resolved config as plain values.
        overrides: what was typed.
        hashes: config, data, protocol, code.
        seeds: the model seeds.
        steps: how many outer steps are planned.
        step: where a resumed run starts; 0 when fresh.
        provenance: versions, device, flags, split and data counts, leak report.
        multirun: whether this is one point of a sweep.
    """

    name: str
    directory: Path
    config: Mapping[str, Any]
    overrides: Sequence[str]
    hashes: Mapping[str, str]
    seeds: Sequence[int]
    steps: int
    step: int
    provenance: Mapping[str, Any]
    multirun: bool = False


class Reporter(NamedTuple):
    """Where a run is reported to. Host only; never seen by compiled code. The calls come in this order.

    Attributes:
        start: ``(run)``.
        note: ``(text)``: a line for the user.
        log: ``(step, split, {metric: [a value per seed]})``: split is "train" or "validation".
        finish: ``(summary, task_scores, provenance)``: the run is complete.
        close: ``(error or None)``: always called last, also after an error or an interrupt.
    """

    start: Callable[[Run], None]
    note: Callable[[str], None]
    log: Callable[[int, str, Mapping[str, Sequence[float]]], None]
    finish: Callable[[Mapping[str, Any], Any, Mapping[str, Any]], None]
    close: Callable[[BaseException | None], None]
