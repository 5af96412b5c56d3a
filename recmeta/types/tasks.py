"""Tasks on the device: support, query, batches, candidates; the split that made them; the problem they are part of.

Axis letters, everywhere: ``T`` tasks, ``R`` replicas, ``S`` seeds, ``K`` support rows, ``n`` rows, ``d`` width.

A task is one *entity* (under ``user_cold``: a user) and rows about it. What is known of the entity is the task's
*context*; each row is another entity (an item) with a label. Nothing below says "user" or "item": which of them is the
task is the protocol's choice.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray, PyTree

from recmeta.types.data import DataSpec, Relation, Transform

Features = Mapping[str, Array]
"""Field name -> values, the leading axes being the rows'; what they are is said by each kind (`recmeta.features`)."""

ENTITY = "@entity"
"""In a task's context, beside its features: the number of its entity, as `Background` has it. No field of a `DataSpec`:
for an encoder that reads the background, to leave out the task's own rows and to find its entity's relations."""


class Support(NamedTuple):
    """The labelled rows of a new entity: ``x`` fields of ``[K, ...]``, labels ``y``, and which rows are there.

    ``key`` is the randomness of this task's encoder (dropout, sampling) in training; None at test, where all is
    deterministic.
    """

    x: Features
    y: Float[Array, "*T K"]
    mask: Bool[Array, "*T K"]
    key: PRNGKeyArray | None = None


class Query(NamedTuple):
    """The rows to be scored. No labels: these travel beside it, to the objective and the metrics only."""

    x: Features
    mask: Bool[Array, "*T n"]


class Task(NamedTuple):
    """One task, or with a leading axis a batch of them."""

    context: Features
    support: Support
    query: Query


class Negatives(NamedTuple):
    """Rows drawn for each task that nobody rated, to contrast the query with.

    Attributes:
        entity: codes of the drawn entities, into ``Tasks.entities``; drawn with replacement.
        x: their fields ``[T, m, ...]``.
        log_q: the log-probability with which each was drawn.
        mask: which of them count: none that the task has a meta-train row about, and none where there is none to draw.
    """

    entity: Int[Array, "T m"]
    x: Features
    log_q: Float[Array, "T m"]
    mask: Bool[Array, "T m"]


class Catalogue(NamedTuple):
    """The entities that negatives are drawn from, in the order of their first meta-train row.

    Attributes:
        entity: their codes, into ``Tasks.entities``.
        upto: the running sum of ``share``.
        share: of the draws, in whole numbers: proportional to the probability of being drawn.
        own: the entities of each task's rows, ascending within the task, where ``Tasks`` has the task's rows.
        since: the time of their first row, as ``Tasks.time`` has it; None: all may be drawn at any time.
    """

    entity: Int[Array, "N"]
    upto: Int[Array, "N"]
    share: Int[Array, "N"]
    own: Int[Array, "n"]
    since: Int[Array, "N"] | None = None


class Batch(NamedTuple):
    """Tasks with a leading axis ``T``, and the query labels beside them.

    Attributes:
        task, label: of T tasks.
        progress: the share of all outer steps that is done, from 0 to below 1, the same for all tasks: what a learner
            anneals by. 1, the end of training, wherever nobody trains.
        negatives: drawn at this visit; None: none.
        weight: how much each query row counts in the loss; None: all alike.
    """

    task: Task
    label: Float[Array, "T n"]
    progress: Float[Array, ""] | float = 1.0
    negatives: Negatives | None = None
    weight: Float[Array, "T n"] | None = None


class Candidates(NamedTuple):
    """The candidates that query rows of many tasks are ranked among: one catalogue, and a mask per task.

    Attributes:
        entity: codes of the catalogue's entities, into ``Tasks.entities``.
        allowed: which of them are a task's candidates; its query rows are.
        position: where a task's query rows stand in the catalogue.
        there: which query rows are in the catalogue.
        information: how surprising each entity is, in bits (`recmeta.protocols.candidates.self_information`).
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
    where the data has none. ``weight`` is how much each row counts in a loss; None: all alike. ``catalogue`` is what
    negatives are drawn from; None where none are.
    """

    entity: Int[Array, "T"]
    start: Int[Array, "T"]
    size: Int[Array, "T"]
    row: Int[Array, "n"]
    label: Float[Array, "n"]
    contexts: Features
    entities: Features
    time: Int[Array, "n"] | None = None
    weight: Float[Array, "n"] | None = None
    catalogue: Catalogue | None = None


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


class Memory(NamedTuple):
    """The meta-train rows by the entity that they are about: code ``c`` has rows ``start[c] : start[c + 1]``.

    Codes are those of ``x["id"]``; 0, the unknown, has no rows. No row of a test or validation task is among them.

    Attributes:
        start: where each code's rows start.
        entity: whose row it is, as ``context[ENTITY]`` says of a task. In training an encoder must leave a task's own
            rows out: there the labels that it is to predict are among them.
        label: of each row.
        time: of each row, as `Tasks.time`; None where the data has none.
    """

    start: Int[np.ndarray, "C+1"]
    entity: Int[np.ndarray, "n"]
    label: Float[np.ndarray, "n"]
    time: Int[np.ndarray, "n"] | None = None


class Background(NamedTuple):
    """Knowledge beyond one task, on the host, for an encoder that asks for ``background``.

    Attributes:
        memory: the meta-train rows.
        entities: how many entities of tasks there are, those of test tasks among them: ``context[ENTITY]`` is below.
        relations: name -> pairs, whose sides are "context" and "row": numbers as in ``context[ENTITY]``, codes as in
            ``x["id"]``. A pair of a row's entity that meta-train has not seen is left out: it has no code.
        dropped: name -> how many pairs were left out.
        folds: of each entity with meta-train rows the fold, from 1, and 0 of the others: what is fitted without a
            task's fold has none of its labels in it (`recmeta.fitted.folds`).
    """

    memory: Memory
    entities: int
    folds: Int[np.ndarray, "entities"]
    relations: Mapping[str, Relation] = MappingProxyType({})
    dropped: Mapping[str, int] = MappingProxyType({})


class Problem(NamedTuple):
    """A data set, split and encoded by a protocol.

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
        background: makes the knowledge beyond one task, which only some encoders ask for; None: there is none.
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
    background: Callable[[], Background] | None = None
    transform: Transform | None = None
