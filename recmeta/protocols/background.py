"""Background of a problem: meta-train rows by item, and relations, in the codes that a model reads."""

from __future__ import annotations

import numpy as np
from jaxtyping import Bool, Int

from recmeta.protocols.plan import Histories
from recmeta.types import Background, Interactions, Memory, Relation

FOLDS = 5
"""The folds that meta-train entities are dealt out to."""


def make_background(data: Interactions, train: Histories, codes: Int[np.ndarray, "I"]) -> Background:
    """Make the background of a problem.

    Args:
        data: the data set, the tasks' entities on the users' side.
        train: the meta-train rows; of all other rows nothing is read.
        codes: of each item, as ``x["id"]`` has it; 0 of those that meta-train has not seen.
    """
    kept = {name: _recoded(relation, codes) for name, relation in data.relations.items()}
    return Background(
        memory=_memory(data, train, codes),
        entities=len(data.users.ids),
        folds=_folds(train.entity, len(data.users.ids)),
        relations={name: relation for name, (relation, _) in kept.items()},
        dropped={name: int((~there).sum()) for name, (_, there) in kept.items()},
    )


def _folds(trained: Int[np.ndarray, "T"], entities: int) -> Int[np.ndarray, "entities"]:
    """Deal meta-train entities out to folds of one size, at random; labels have no part in it."""
    folds = np.zeros(entities, np.int32)
    shuffled = np.random.default_rng(FOLDS).permutation(np.unique(trained))
    folds[shuffled] = 1 + np.arange(len(shuffled)) % FOLDS
    return folds


def _memory(data: Interactions, train: Histories, codes: Int[np.ndarray, "I"]) -> Memory:
    """The meta-train rows, sorted by item; each item's in the order of the histories."""
    code = codes[data.item[train.row]]
    order = np.argsort(code, kind="stable")
    start = np.concatenate([[0], np.cumsum(np.bincount(code, minlength=int(codes.max()) + 1))])
    rows = train.row[order]
    entity = np.repeat(train.entity, train.size)[order]
    time = None if data.time is None else (data.time - data.time.min())[rows].astype(np.int32)
    return Memory(start.astype(np.int32), entity.astype(np.int32), data.label[rows], time)


def _recoded(relation: Relation, codes: Int[np.ndarray, "I"]) -> tuple[Relation, Bool[np.ndarray, "m"]]:
    """A relation between entities of tasks and of rows, and which of its pairs were kept."""
    ends = [
        codes[values] if side == "item" else np.asarray(values)
        for side, values in zip(relation.sides, (relation.source, relation.target), strict=True)
    ]
    coded = [side == "item" for side in relation.sides]
    there = np.logical_and.reduce([(end > 0) | (not item) for end, item in zip(ends, coded, strict=True)])
    source, target = (end[there].astype(np.int32) for end in ends)
    sides = ("row" if coded[0] else "context", "row" if coded[1] else "context")
    return Relation(sides, source, target, np.asarray(relation.weight, np.float32)[there]), there
