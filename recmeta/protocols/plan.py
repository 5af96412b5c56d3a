"""Plan a split in rows of the data: users to train on, users to test on, and the rows that each of them has.

A protocol is a function that makes a `Plan`; `recmeta.protocols.assemble` makes a `Problem` of it. The *entity* of a
task is a user here; where an item is the task, the data set is turned about first (`turned`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Literal, NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from recmeta.protocols.episodes import EpisodePlan, Order
from recmeta.protocols.ties import tie_keys
from recmeta.types import Interactions, UserError

Labels = Literal["rating", "liked"]
Side = Literal["user", "item"]

WARM, VALIDATION, TEST, LEFT_OUT = 0, 1, 2, 3
"""Roles: known in training, kept for meta-validation, kept for meta-test, in no part of the split."""


class Histories(NamedTuple):
    """Entities with their rows, oldest first, end to end: entity ``t`` has ``row[start[t] : start[t + 1]]``."""

    entity: Int[np.ndarray, "T"]
    start: Int[np.ndarray, "T+1"]
    row: Int[np.ndarray, "n"]

    @property
    def size(self) -> Int[np.ndarray, "T"]:
        """The number of rows of each entity."""
        return np.diff(self.start)


class Picks(NamedTuple):
    """Tasks with fixed supports and queries, as rows of the data; -1 where there is none."""

    entity: Int[np.ndarray, "T"]
    support: Int[np.ndarray, "T K"]
    query: Int[np.ndarray, "T n"]


class Plan(NamedTuple):
    """The decisions of a protocol: meta-train, meta-validation, meta-test.

    Attributes:
        train: meta-train; supports and queries are drawn from it at each visit, and all that is fitted is fitted to it.
        validation: meta-validation.
        test: scenario -> meta-test.
        counts: what was left out, and why.
    """

    train: Histories
    validation: Picks
    test: Mapping[str, Picks]
    counts: Mapping[str, int]


def turned(data: Interactions, task: Side) -> Interactions:
    """The data set with the task's entities on the users' side; relations change sides too."""
    if task == "user":
        return data
    other: Mapping[str, Side] = {"user": "item", "item": "user"}
    relations = {
        name: relation._replace(sides=(other[relation.sides[0]], other[relation.sides[1]]))
        for name, relation in data.relations.items()
    }
    return replace(data, user=data.item, item=data.user, users=data.items, items=data.users, relations=relations)


def labelled(data: Interactions, labels: Labels) -> Interactions:
    """The data set with ratings as they are, or "liked": 1 where the label is at least ``like``, else 0."""
    if labels == "rating":
        return data
    liked = (data.label >= np.float32(data.like)).astype(np.float32)
    return replace(data, label=liked, label_range=(0.0, 1.0), like=1.0)


def times(data: Interactions) -> Int[np.ndarray, "n"]:
    """The time of each row; all the same where it is not known."""
    return np.zeros(len(data.user), np.int64) if data.time is None else data.time


# --- who ----------------------------------------------------------------------------------------------------------


def digest(*parts) -> bytes:
    """A hash that depends on nothing but its arguments."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()


def roles_by_hash(
    ids: np.ndarray, among: np.ndarray, *, seed: int, side: str, test: float, validation: float, train: float = 1.0
) -> Int[np.ndarray, "N"]:
    """Give roles to entities by the rank of a hash of their raw id and the seed.

    Another order of the data, or a few entities more, move at most the few at the cuts.

    Args:
        ids: raw ids of all N entities.
        among: who takes part; all others are `WARM`.
        seed: of the split.
        side: "user" or "item".
        test, validation: shares of those who take part.
        train: share of the others that are `WARM`; the rest are `LEFT_OUT`. Who is in a share is in all larger ones.

    Raises:
        UserError: where the shares leave nobody to train on.
    """
    if test + validation >= 1:
        raise UserError(f"{side}s: the shares of meta-test, {test:g}, and meta-validation, {validation:g}, leave none")
    rank = sorted(among, key=lambda code: digest(seed, side, ids[code]))
    n_test, n_validation = round(test * len(rank)), round(validation * len(rank))
    roles = np.full(len(ids), WARM)
    roles[np.array(rank[:n_test], int)] = TEST
    roles[np.array(rank[n_test : n_test + n_validation], int)] = VALIDATION
    others = rank[n_test + n_validation :]
    roles[np.array(others[round(train * len(others)) :], int)] = LEFT_OUT
    return roles


# --- which rows ---------------------------------------------------------------------------------------------------


def histories(
    data: Interactions, where: Bool[np.ndarray, "n"] | None = None, *, order: Order = "random", seed: int = 0
) -> Histories:
    """The rows of each entity that has any, oldest first.

    Args:
        data: the data set.
        where: which rows to take; None for all.
        order: whether anything will go by the order of rows. Under "time", rows of an entity at one time are in an
            order by chance (`recmeta.protocols.ties`); under "random", where rows mean nothing by their place, in that
            of the items.
        seed: of the split.
    """
    rows = np.arange(len(data.user)) if where is None else np.flatnonzero(where)
    keys = [data.item[rows], times(data)[rows], data.user[rows]]
    if order == "time":
        keys.insert(1, tie_keys(data, seed)[rows])
    rows = rows[np.lexsort(keys)]
    entity, start = np.unique(data.user[rows], return_index=True)
    return Histories(entity, np.append(start, len(rows)), rows)


def only(histories: Histories, chosen: Bool[np.ndarray, "T"]) -> Histories:
    """Some of the entities, with all their rows."""
    size = histories.size
    return Histories(
        histories.entity[chosen], np.append(0, np.cumsum(size[chosen])), histories.row[np.repeat(chosen, size)]
    )


def between(histories: Histories, least: int, most: int | None) -> Histories:
    """The entities with at least and at most so many rows."""
    return only(histories, (histories.size >= least) & (histories.size <= (most or np.inf)))


def turns(data: Interactions, histories: Histories, order: Order, *, seed: int, draws: int = 1) -> list[np.ndarray]:
    """Each entity's rows, ``draws`` times over: oldest first, or in a random order.

    A random order depends on the entity's raw id, the seed and the number of the draw only.
    """
    found = []
    for place, entity in enumerate(histories.entity):
        rows = histories.row[histories.start[place] : histories.start[place + 1]]
        for number in range(draws):
            if order == "random":
                entropy = int.from_bytes(digest(seed, "rows", number, data.users.ids[entity])[:8], "little")
                rows = np.sort(rows)[np.random.default_rng(entropy).permutation(len(rows))]
            found.append(rows)
    return found


def pick(data: Interactions, histories: Histories, episodes: EpisodePlan, *, seed: int, draws: int = 1) -> Picks:
    """Fix supports and queries.

    In random order the query is drawn first and does not depend on the support's size. In time order the support is the
    first rows and the query the next ones, or the last ones there are.
    """
    draws = draws if episodes.order == "random" else 1
    most, query = episodes.support, episodes.settings.query
    rows = turns(data, histories, episodes.order, seed=seed, draws=draws)
    if episodes.order == "random":
        supports, queries = [row[query : query + most] for row in rows], [row[:query] for row in rows]
    else:
        cuts = [max(0, min(most, len(row) - query)) for row in rows]
        supports = [row[:cut] for row, cut in zip(rows, cuts, strict=True)]
        queries = [row[cut : cut + query] for row, cut in zip(rows, cuts, strict=True)]
    return Picks(np.repeat(histories.entity, draws), lay_out(supports, most), lay_out(queries, query))


def lay_out(rows: Sequence[np.ndarray], width: int) -> Int[np.ndarray, "T width"]:
    """Rows of different number side by side, filled up with -1."""
    found = np.full((len(rows), width), -1)
    for place, row in enumerate(rows):
        found[place, : len(row)] = row
    return found


def check_enough(data: Interactions, plan: Plan, hint: str) -> Plan:
    """Refuse a plan with too few tasks in a role.

    Raises:
        UserError: with fewer than two.
    """
    sizes = {"meta-train": len(plan.train.entity), "meta-validation": len(set(plan.validation.entity.tolist()))}
    sizes |= {scenario: len(picks.entity) for scenario, picks in plan.test.items()}
    for name, size in sizes.items():
        if size < 2:
            raise UserError(f"{data.name}: the protocol leaves {size} tasks for {name}, and needs 2 or more; {hint}")
    return plan
