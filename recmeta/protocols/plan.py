"""What a protocol decides, in rows of the data: who is trained on, who is tested on, and what each of them shows.

A protocol is a function that makes a `Plan`; `recmeta.protocols.assemble` makes a `Problem` of it. The *entity* of a
task is a user here; where an item is the task, the data set is turned about first (`turned`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, Lt, MinLen
from jaxtyping import Bool, Int

from recmeta.types import Interactions, UserError

Share = Annotated[float, Ge(0), Lt(1)]
Part = Annotated[float, Gt(0), Lt(1)]
Count = Annotated[int, Ge(1)]
Shots = Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)]
TrainShots = Annotated[tuple[Count, ...], MinLen(1)] | None
Order = Literal["random", "time"]
Labels = Literal["rating", "liked"]
Side = Literal["user", "item"]

WARM, VALIDATION, TEST = 0, 1, 2
"""Roles: known in training, kept for meta-validation, kept for meta-test."""


class Episodes(NamedTuple):
    """How a task's rows become its support and its query.

    Attributes:
        order: "random": from anywhere in the history; "time": the first rows are the support, the next ones the query.
        shots: support sizes to evaluate at, ascending.
        train_shots: support sizes to train at.
        query: the most query rows of a task.
        train_query: the same in training.
        headline: the support size that summaries are at.
    """

    order: Order
    shots: tuple[int, ...]
    train_shots: tuple[int, ...]
    query: int
    train_query: int
    headline: int

    @property
    def support(self) -> int:
        """The most support rows of a task."""
        return max(*self.shots, 1)


class Histories(NamedTuple):
    """Entities with their rows, oldest first, end to end: entity ``t`` has ``row[start[t] : start[t + 1]]``."""

    entity: Int[np.ndarray, "T"]
    start: Int[np.ndarray, "T+1"]
    row: Int[np.ndarray, "n"]

    @property
    def size(self) -> Int[np.ndarray, "T"]:
        """How many rows each entity has."""
        return np.diff(self.start)


class Picks(NamedTuple):
    """Tasks with fixed supports and queries, as rows of the data; -1 where there is none."""

    entity: Int[np.ndarray, "T"]
    support: Int[np.ndarray, "T K"]
    query: Int[np.ndarray, "T n"]


class Plan(NamedTuple):
    """What a protocol decides.

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


def make_episodes(
    data: Interactions, *, order: Order, shots: Sequence[int], train_shots: Sequence[int] | None, query: int,
    headline: int | None, train_query: int | None = None,
) -> Episodes:  # fmt: skip
    """Fill in what was left to a default, and check what was said.

    Args:
        data: the data set.
        order, shots, query: see `Episodes`.
        train_shots: None for all of ``shots`` above 0.
        headline: None for the largest of ``shots``.
        train_query: None for ``query``.

    Raises:
        UserError: where they contradict each other or the data.
    """
    largest = max(*shots, 1)
    headline = max(shots) if headline is None else headline
    train_shots = tuple(k for k in shots if k > 0) or (largest,) if train_shots is None else tuple(train_shots)
    if order == "time" and data.time is None:
        raise UserError(
            f"protocol.order=time: {data.name} has no time column; use protocol.order=random, or name the column "
            "(dataset.columns.time=...)"
        )
    if headline not in shots:
        raise UserError(f"protocol.headline={headline} is not one of protocol.shots={list(shots)}")
    if max(train_shots) > largest:
        raise UserError(
            f"protocol.train_shots={list(train_shots)}: none may be above the largest of protocol.shots, {largest}"
        )
    if train_query is not None and train_query < query:
        raise UserError(f"protocol.train_query={train_query}: must be no less than protocol.query={query}")
    return Episodes(order, tuple(sorted(set(shots))), train_shots, query, train_query or query, headline)


def turned(data: Interactions, task: Side) -> Interactions:
    """The data set with the task's entities on the users' side."""
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
    """When each row was; all the same where that is not known."""
    return np.zeros(len(data.user), np.int64) if data.time is None else data.time


# --- who ----------------------------------------------------------------------------------------------------------


def digest(*parts) -> bytes:
    """A hash that depends on nothing but what is said."""
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()


def roles_by_hash(
    ids: np.ndarray, among: np.ndarray, *, seed: int, side: str, test: float, validation: float
) -> Int[np.ndarray, "N"]:
    """Give roles to entities by the rank of a hash of their raw id and the seed.

    Another order of the data, or a few entities more, move at most the few at the cuts.

    Args:
        ids: raw ids of all N entities.
        among: who takes part; all others are `WARM`.
        seed: of the split.
        side: "user" or "item".
        test, validation: shares of those who take part.

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
    return roles


# --- which rows ---------------------------------------------------------------------------------------------------


def histories(data: Interactions, where: Bool[np.ndarray, "n"] | None = None) -> Histories:
    """The rows of each entity that has any, oldest first; of rows at one time, in the order of the items."""
    rows = np.arange(len(data.user)) if where is None else np.flatnonzero(where)
    rows = rows[np.lexsort((data.item[rows], times(data)[rows], data.user[rows]))]
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


def pick(data: Interactions, histories: Histories, episodes: Episodes, *, seed: int, draws: int = 1) -> Picks:
    """Fix supports and queries.

    In random order the query is drawn first and does not depend on the support's size. In time order the support is the
    first rows and the query the next ones, or the last ones there are.
    """
    draws = draws if episodes.order == "random" else 1
    most, query = episodes.support, episodes.query
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
