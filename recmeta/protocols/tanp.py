"""tanp: TaNP's new users, whose query is all that is not in the support."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool

from recmeta.protocols.assemble import assemble
from recmeta.protocols.episodes import (
    Count,
    Episodes,
    NegativeSampling,
    Part,
    Share,
    Shots,
    full_support,
    plan_episodes,
)
from recmeta.protocols.plan import (
    TEST,
    VALIDATION,
    WARM,
    Histories,
    Picks,
    Plan,
    between,
    check_enough,
    histories,
    lay_out,
    only,
    roles_by_hash,
    turns,
)
from recmeta.types import Interactions, Problem, UserError


class TanpEpisodes(NamedTuple):
    """The settings of episodes that TaNP's protocol leaves open; see `recmeta.protocols.episodes`."""

    shots: Shots
    min_history: Count
    max_history: Count
    validation_draws: Count = 1
    negatives: NegativeSampling = NegativeSampling()


def tanp(
    interactions: Interactions,
    *,
    seed: int,
    test: Part,
    validation: Share,
    episodes: TanpEpisodes,
) -> Problem:
    """TaNP's new users: 20 % of those with 30 to 200 rows; the query is all that is not in the support.

    Test rows of items that no meta-train user has are left out, as published, and counted. Its pre-sampled negatives
    are the data set's affair.

    Args:
        interactions: the clean data set.
        seed: of the split and the draws.
        test, validation: shares of the users.
        episodes: support sizes, of which the largest, 20 as published, is what is taken out of each history; and how
            many rows a user must have.

    Reference: Lin et al., Task-adaptive neural process for user cold-start recommendation, WWW 2021.
    """
    everyone = histories(interactions)
    left = between(everyone, episodes.min_history, episodes.max_history)
    role = roles_by_hash(interactions.users.ids, left.entity, seed=seed, side="user", test=test, validation=validation)[
        left.entity
    ]
    train = only(left, role == WARM)
    (support,) = full_support(episodes.shots)
    if episodes.min_history <= support:
        raise UserError(
            f"protocol.episodes.min_history={episodes.min_history}: must be above the largest of "
            f"protocol.episodes.shots, {support}"
        )
    known = np.zeros(len(interactions.items.ids), bool)
    known[interactions.item[train.row]] = True
    settings = Episodes(**episodes._asdict(), query=episodes.min_history - support, train_shots=(support,))
    planned = plan_episodes(interactions, settings, "random")

    def all_the_rest(wanted: int, draws: int) -> Picks:
        chosen = only(left, role == wanted)
        return rest_as_query(
            interactions, chosen, known, support, turns(interactions, chosen, "random", seed=seed, draws=draws)
        )

    test_rows = only(left, role == TEST).row
    plan = Plan(
        train=train,
        validation=all_the_rest(VALIDATION, episodes.validation_draws),
        test={"user_cold": all_the_rest(TEST, 1)},
        counts={
            "users_dropped_by_history_filter": len(everyone.entity) - len(left.entity),
            "rows_dropped_by_history_filter": len(everyone.row) - len(left.row),
            "test_rows_dropped_as_of_unknown_items": int((~known[interactions.item[test_rows]]).sum()),
        },
    )
    return assemble(interactions, check_enough(interactions, plan, "lower protocol.episodes.min_history"), planned)


def rest_as_query(
    data: Interactions, chosen: Histories, known: Bool[np.ndarray, "I"], support: int, rows: Sequence[np.ndarray]
) -> Picks:
    """Take the first rows of each history as the support, and all others as the query.

    Args:
        data: the data set.
        chosen: whose histories.
        known: items that meta-train has; rows of others are left out.
        support: how many rows the support has; a history without more has no task.
        rows: each history's rows in the order of a draw, for all draws of an entity one after the other.
    """
    kept = [row[known[data.item[row]]] for row in rows]
    entities = np.repeat(chosen.entity, len(rows) // max(len(chosen.entity), 1))
    enough = np.array([len(row) > support for row in kept], bool)
    kept = [row for row, there in zip(kept, enough, strict=True) if there]
    width = max((len(row) - support for row in kept), default=1)
    first, rest = [row[:support] for row in kept], [row[support:] for row in kept]
    return Picks(entities[enough], lay_out(first, support), lay_out(rest, width))
