"""Choose the candidates that a query row is ranked among: the query itself, or a catalogue."""

from __future__ import annotations

from typing import Literal, NamedTuple

import jax
import numpy as np
from jaxtyping import Bool, Float, Int

from recmeta.protocols.episodes import Count
from recmeta.protocols.plan import Histories, Picks, digest, times
from recmeta.types import Candidates, Interactions, UserError

Kind = Literal["query", "full", "cold", "available", "sampled"]
"""query: the query's own rows. full: everything. cold: what meta-train has not seen. available: what had appeared by
the time of the task's first query row. sampled: some drawn at random, with the query's rows."""


class CandidateRule(NamedTuple):
    """The rule for candidates of query rows: the block `protocol.candidates`.

    Attributes:
        kind: see `Kind`.
        number: of candidates drawn per task beside the query's rows, under "sampled".
    """

    kind: Kind = "query"
    number: Count | None = None


QUERY_ROWS = CandidateRule()
"""No catalogue: a task's query rows are ranked among themselves."""


def make_candidates(
    data: Interactions, train: Histories, picks: Picks, rule: CandidateRule, *, seed: int
) -> Candidates:
    """The catalogue of a scenario's tasks.

    What a task's entity is known to have is no candidate: its support (the largest, so that all support sizes rank the
    same), and its rows in meta-train.

    Args:
        data: the data set.
        train: meta-train.
        picks: the tasks.
        rule: not of the kind "query".
        seed: of the draw under "sampled"; it depends on the task's raw id too.

    Raises:
        UserError: where the data cannot tell, or nothing is left to rank.
    """
    items = np.arange(len(data.items.ids))
    known = np.isin(items, data.item[train.row])
    listed = items[~known] if rule.kind == "cold" else items
    place = np.full(len(items), -1)
    place[listed] = np.arange(len(listed))
    allowed = np.broadcast_to(_allowed(data, picks, rule, listed, seed), (len(picks.entity), len(listed))).copy()
    task, item = _known_of(data, train, picks)
    there = place[item] >= 0
    allowed[task[there], place[item][there]] = False
    asked = np.where(picks.query >= 0, place[data.item[picks.query]], -1)
    rows = np.broadcast_to(np.arange(len(asked))[:, None], asked.shape)
    # A query row is a candidate whatever else is said of it: an item may be rated twice.
    allowed[rows[asked >= 0], asked[asked >= 0]] = True
    if not (asked >= 0).any():
        raise UserError(
            f"protocol.candidates.kind={rule.kind}: no query row is among them; use protocol.candidates.kind=full"
        )
    position = np.maximum(asked, 0).astype(np.int32)
    seen = np.bincount(data.item[train.row], minlength=len(items))[listed]
    information = self_information(seen, len(train.entity)).astype(np.float32)
    return Candidates(*jax.device_put((listed.astype(np.int32), allowed, position, asked >= 0, information)))


def _allowed(data: Interactions, picks: Picks, rule: CandidateRule, listed, seed: int) -> Bool[np.ndarray, "T N"]:
    """The listed items that may be ranked at all, before those that the task already has are removed."""
    if rule.kind == "available":
        if data.time is None:
            raise UserError(
                f"protocol.candidates.kind=available: {data.name} has no times; use protocol.candidates.kind=full"
            )
        appeared = np.full(len(data.items.ids), np.iinfo(np.int64).max)
        np.minimum.at(appeared, data.item, data.time)
        asked = np.where(picks.query >= 0, times(data)[picks.query], np.iinfo(np.int64).max).min(axis=1)
        return appeared[listed] <= asked[:, None]
    if rule.kind == "sampled":
        number = rule.number
        if number is None or number >= len(listed):
            given = "is not set" if number is None else f"is {number}"
            raise UserError(
                f"protocol.candidates.number {given}: give how many of the {len(listed)} items to draw for each task, "
                f"fewer than all, as protocol.candidates.number={max(1, min(100, len(listed) // 2))}"
            )
        drawn = np.zeros((len(picks.entity), len(listed)), bool)
        for row, entity in zip(drawn, picks.entity, strict=True):
            entropy = int.from_bytes(digest(seed, "candidates", data.users.ids[entity])[:8], "little")
            row[np.random.default_rng(entropy).choice(len(listed), number, replace=False)] = True
        return drawn
    return np.ones((1, len(listed)), bool)


def _known_of(data: Interactions, train: Histories, picks: Picks) -> tuple[Int[np.ndarray, "m"], Int[np.ndarray, "m"]]:
    """Pairs of a task and an item that it already has."""
    task, column = np.nonzero(picks.support >= 0)
    shown = data.item[picks.support[task, column]]
    where = np.full(len(data.users.ids), -1)
    where[train.entity] = np.arange(len(train.entity))
    trained = [
        (np.full(size, number), data.item[train.row[train.start[place] : train.start[place] + size]])
        for number, place in enumerate(where[picks.entity])
        if place >= 0 and (size := int(train.size[place]))
    ]
    tasks, items = zip(*trained, strict=True) if trained else ((), ())
    return np.concatenate([task, *tasks]), np.concatenate([shown, *items])


def self_information(counts: Float[np.ndarray, "N"], entities: int) -> Float[np.ndarray, "N"]:
    """Self-information of each item, in bits: ``-log2`` of the share of meta-train's entities that have it.

    One is added to both counts, so that an item that meta-train has not seen is the most surprising, not infinitely so.

    Args:
        counts: how many of meta-train's entities (users) have each item.
        entities: how many entities there are.

    Reference:
        Zhou et al., Solving the apparent diversity-accuracy dilemma of recommender systems, PNAS 2010.
    """
    return -np.log2((np.asarray(counts, float) + 1) / (entities + 1))
