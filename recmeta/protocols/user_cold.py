"""user_cold: the test users have never been seen; a few of their ratings are the support, others the query."""

from __future__ import annotations

from recmeta.protocols.assemble import assemble
from recmeta.protocols.candidates import Kind
from recmeta.protocols.plan import (
    TEST,
    VALIDATION,
    WARM,
    Count,
    Labels,
    Order,
    Part,
    Plan,
    Shots,
    Side,
    TrainShots,
    between,
    check_enough,
    histories,
    labelled,
    make_episodes,
    only,
    pick,
    roles_by_hash,
    turned,
)
from recmeta.types import Interactions, Problem, UserError


def user_cold(
    interactions: Interactions,
    *,
    task: Side,
    seed: int,
    order: Order,
    shots: Shots,
    train_shots: TrainShots,
    query: Count,
    train_query: Count | None,
    headline: int | None,
    min_history: Count | None,
    max_history: Count | None,
    test: Part,
    validation: Part,
    validation_draws: Count,
    candidates: Kind,
    sampled: Count | None,
    labels: Labels,
) -> Problem:
    """Split users into meta-train, meta-validation and meta-test, and fit on meta-train all that is fitted.

    Users are ranked by a hash of their raw id and ``seed``, and the rank decides the role, so that another order of the
    data, or a few users more, move at most the few at the cuts. Which rows are a test user's query depends on that user
    and ``seed`` only (in time order, on the largest support too). Every task presents its user as a new one, in
    training as in test: a user's id is never an input, its features are.

    Args:
        interactions: the clean data set.
        task: "user", or "item": then all that is said of users here is of items, and of items, of users.
        seed: of the split.
        order: "random": support and query are drawn from anywhere in a user's history. "time": the first rows are
            the support, the next ones the query (in training: from a random point of the history on).
        shots: support sizes to evaluate at; supports are nested, the query is the same for all.
        train_shots: support sizes to train at, one drawn per visit; None for all of ``shots`` above 0.
        query: rows per query.
        train_query: the most in training: up to so many of those that are not drawn for the support, also where the
            support is shown in part. A model of each item learns from every row that it is asked for, so that more of
            them train it faster than more visits do. None: ``query``.
        headline: the support size that summaries are at; None for the largest.
        min_history, max_history: users with fewer or more rows are left out, and counted. None: as few as the largest
            support and the query need; no upper limit. Below that, a short history has a short support.
        test, validation: shares of the users left.
        validation_draws: supports and queries per meta-validation user (in time order there is one).
        candidates: what a query row is ranked among: the "query" itself, the "full" catalogue, what is "cold",
            "available" at the time, or "sampled". See `recmeta.protocols.candidates`.
        sampled: how many candidates to draw, under "sampled".
        labels: "rating" as they are, or "liked": 1 where the label is at least the data set's ``like``, else 0.

    Raises:
        UserError: where no split is possible: too few users, no time to order by, a history too short.
    """
    data = labelled(turned(interactions, task), labels)
    episodes = make_episodes(
        data, order=order, shots=shots, train_shots=train_shots, query=query, headline=headline, train_query=train_query
    )
    least = history_limits(episodes.support + query, query, min_history, max_history)
    everyone = histories(data)
    left = between(everyone, least, max_history)
    roles = roles_by_hash(data.users.ids, left.entity, seed=seed, side=task, test=test, validation=validation)
    role = roles[left.entity]
    who = f"{task}s"
    counts = {
        f"{who}_dropped_by_history_filter": len(everyone.entity) - len(left.entity),
        "rows_dropped_by_history_filter": len(everyone.row) - len(left.row),
    }
    plan = Plan(
        train=only(left, role == WARM),
        validation=pick(data, only(left, role == VALIDATION), episodes, seed=seed, draws=validation_draws),
        test={f"{task}_cold": pick(data, only(left, role == TEST), episodes, seed=seed)},
        counts=counts,
    )
    hint = f"{len(left.entity)} of {len(everyone.entity)} {who} pass the history filter: lower protocol.shots, "
    return assemble(
        data,
        check_enough(data, plan, hint + "protocol.query or protocol.min_history"),
        episodes,
        who=who,
        candidates=candidates,
        sampled=sampled,
        seed=seed,
    )


def history_limits(need: int, query: int, least: int | None, most: int | None) -> int:
    """The fewest rows that a task may have.

    Args:
        need: the largest support and the query together: the default.
        query: rows per query.
        least, most: as the user said.

    Raises:
        UserError: where no task can be left.
    """
    least = need if least is None else least
    if least <= query:
        raise UserError(f"protocol.min_history={least}: must be above protocol.query={query}, to leave a support")
    if most is not None and most < least:
        raise UserError(f"protocol.max_history={most} is below protocol.min_history={least}: no task can be left")
    return least
