"""user_cold: the test users have never been seen; a few of their ratings are the support, others the query."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Gt, Le

from recmeta.protocols.assemble import assemble
from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.episodes import Episodes, Order, Part, plan_episodes
from recmeta.protocols.plan import (
    LEFT_OUT,
    TEST,
    VALIDATION,
    WARM,
    Labels,
    Plan,
    Side,
    between,
    check_enough,
    histories,
    labelled,
    only,
    pick,
    roles_by_hash,
    turned,
)
from recmeta.types import Interactions, Problem


# Long: the signature and what it says are most of it.
def user_cold(
    interactions: Interactions,
    *,
    task: Side,
    seed: int,
    order: Order,
    labels: Labels,
    test: Part,
    validation: Part,
    episodes: Episodes,
    candidates: CandidateRule,
    train: Annotated[float, Gt(0), Le(1)] = 1.0,
) -> Problem:
    """Split users into meta-train, meta-validation and meta-test, and fit on meta-train all that is fitted.

    Users are ranked by a hash of their raw id and ``seed``, and the rank decides the role, so that another order of the
    data, or a few users more, move at most the few at the cuts. Which rows are a test user's query depends on that user
    and ``seed`` only (in time order, on the largest support too, and among rows of one time on who else has their
    items). Every task presents its user as a new one, in
    training as in test: a user's id is never an input, its features are.

    Args:
        interactions: the clean data set.
        task: "user", or "item": then all that is said of users here is of items, and of items, of users.
        seed: of the split.
        order: "random": support and query are drawn from anywhere in a user's history. "time": the first rows are
            the support, the next ones the query (in training: from a random point of the history on); rows of a user
            at one time are in an order by chance, see `recmeta.protocols.ties`.
        labels: "rating" as they are, or "liked": 1 where the label is at least the data set's ``like``, else 0.
        test, validation: shares of the users left.
        episodes: support and query sizes, and limits of a user's history; see `recmeta.protocols.episodes`.
        candidates: what a query row is ranked among; see `recmeta.protocols.candidates`.
        train: share of the meta-train users that anything is fitted to or trained on, for learning curves; the others
            are left out, and counted. A smaller share is part of a larger one, and test users stay the same.

    Raises:
        UserError: where no split is possible: too few users, no time to order by, a history too short.
    """
    data = labelled(turned(interactions, task), labels)
    planned = plan_episodes(data, episodes, order)
    everyone = histories(data, order=order, seed=seed)
    left = between(everyone, planned.least, episodes.max_history)
    roles = roles_by_hash(
        data.users.ids, left.entity, seed=seed, side=task, test=test, validation=validation, train=train
    )
    role = roles[left.entity]
    who = f"{task}s"
    counts = {
        f"{who}_dropped_by_history_filter": len(everyone.entity) - len(left.entity),
        "rows_dropped_by_history_filter": len(everyone.row) - len(left.row),
    }
    if train < 1:
        counts[f"{who}_left_out_of_training"] = int((role == LEFT_OUT).sum())
    plan = Plan(
        train=only(left, role == WARM),
        validation=pick(data, only(left, role == VALIDATION), planned, seed=seed, draws=episodes.validation_draws),
        test={f"{task}_cold": pick(data, only(left, role == TEST), planned, seed=seed)},
        counts=counts,
    )
    hint = (
        f"{len(left.entity)} of {len(everyone.entity)} {who} pass the history filter: lower protocol.episodes.shots, "
        "protocol.episodes.query or protocol.episodes.min_history"
    )
    if train < 1:
        hint += f", or raise protocol.train={train:g}"
    return assemble(data, check_enough(data, plan, hint), planned, who=who, candidates=candidates, seed=seed)
