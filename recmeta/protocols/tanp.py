"""tanp: TaNP's new users, whose query is all that is not in the support."""

from __future__ import annotations

import numpy as np

from recmeta.protocols.assemble import assemble
from recmeta.protocols.plan import (
    TEST,
    VALIDATION,
    WARM,
    Count,
    Part,
    Picks,
    Plan,
    Share,
    Shots,
    between,
    check_enough,
    histories,
    lay_out,
    make_episodes,
    only,
    roles_by_hash,
    turns,
)  # fmt: skip
from recmeta.types import Interactions, Problem, UserError


def tanp(
    interactions: Interactions,
    *,
    seed: int,
    shots: Shots,
    min_history: Count,
    max_history: Count,
    test: Part,
    validation: Share,
    validation_draws: Count,
) -> Problem:
    """TaNP's new users: 20 % of those with 30 to 200 rows; the query is all that is not in the support.

    Test rows of items that no meta-train user has are left out, as published, and counted. Its pre-sampled negatives
    are the data set's affair.

    Args:
        interactions: the clean data set.
        seed: of the split and the draws.
        shots: support sizes; the largest, 20 as published, is what is taken out of each history.
        min_history, max_history: rows per user.
        test, validation: shares of the users.
        validation_draws: supports and queries per meta-validation user.

    Reference: Lin et al., Task-adaptive neural process for user cold-start recommendation, WWW 2021.
    """
    everyone = histories(interactions)
    left = between(everyone, min_history, max_history)
    role = roles_by_hash(interactions.users.ids, left.entity, seed=seed, side="user", test=test, validation=validation)[
        left.entity
    ]
    train = only(left, role == WARM)
    support = max(*shots, 1)
    if min_history <= support:
        raise UserError(f"protocol.min_history={min_history}: must be above the largest of protocol.shots, {support}")
    known = np.zeros(len(interactions.items.ids), bool)
    known[interactions.item[train.row]] = True
    episodes = make_episodes(
        interactions,
        order="random",
        shots=shots,
        train_shots=(support,),
        query=min_history - support,
        headline=None,
    )

    def all_the_rest(wanted: int, draws: int) -> Picks:
        chosen = only(left, role == wanted)
        rows = [
            row[known[interactions.item[row]]] for row in turns(interactions, chosen, "random", seed=seed, draws=draws)
        ]
        entities = np.repeat(chosen.entity, draws)
        enough = np.array([len(row) > support for row in rows], bool)
        kept = [row for row, there in zip(rows, enough, strict=True) if there]
        width = max((len(row) - support for row in kept), default=1)
        return Picks(
            entities[enough],
            lay_out([row[:support] for row in kept], support),
            lay_out([row[support:] for row in kept], width),
        )

    test_rows = only(left, role == TEST).row
    plan = Plan(
        train=train,
        validation=all_the_rest(VALIDATION, validation_draws),
        test={"user_cold": all_the_rest(TEST, 1)},
        counts={
            "users_dropped_by_history_filter": len(everyone.entity) - len(left.entity),
            "rows_dropped_by_history_filter": len(everyone.row) - len(left.row),
            "test_rows_dropped_as_of_unknown_items": int((~known[interactions.item[test_rows]]).sum()),
        },
    )
    return assemble(interactions, check_enough(interactions, plan, "lower protocol.min_history"), episodes)
