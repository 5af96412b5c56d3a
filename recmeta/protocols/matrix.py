"""Warm and cold users by warm and cold items: four states of a rating, each of which can be tested on."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Bool, Int

from recmeta.protocols.assemble import assemble
from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.episodes import EpisodePlan, Episodes, Order, Share, plan_episodes
from recmeta.protocols.plan import (
    TEST,
    VALIDATION,
    WARM,
    Labels,
    Picks,
    Plan,
    Side,
    between,
    check_enough,
    histories,
    labelled,
    pick,
    roles_by_hash,
    turned,
)
from recmeta.types import Interactions, Problem, UserError

State = Literal["w_w", "c_w", "w_c", "c_c"]
"""The user's warmth, then the item's."""


def matrix(
    interactions: Interactions,
    *,
    scenarios: Mapping[str, State],
    selection: State | None,
    known: bool,
    task: Side,
    seed: int,
    order: Order,
    labels: Labels,
    test_users: Share,
    validation_users: Share,
    test_items: Share,
    validation_items: Share,
    test_pairs: Share,
    validation_pairs: Share,
    episodes: Episodes,
    candidates: CandidateRule,
) -> Problem:
    """Split users and items, each by the hash of its id, and the ratings of warm users of warm items by chance.

    A rating is in the state that its user and its item are in; of the warm-warm ones, those held out are tested on,
    and all others are meta-train. A task is one user's ratings in one state: its support and its query are both from
    there. Ratings of a mixed kind (a meta-validation user's of a meta-test item) are not used, and counted.

    Args:
        interactions: the clean data set.
        scenarios: what to test on: name -> state.
        selection: the state that meta-validation is made of; None for the first scenario's.
        known: whether a user's own id is an input (unknown where the user is cold).
        task, seed, order, labels, candidates: see `user_cold`.
        test_users, validation_users, test_items, validation_items: the shares of users and of items that are cold.
        test_pairs, validation_pairs: the shares of the warm users' ratings of warm items that are held out.
        episodes: see `user_cold`; the history limits are of a task's rows in its state.

    Raises:
        UserError: where a state that is asked for has too few tasks.
    """
    data = labelled(turned(interactions, task), labels)
    planned = plan_episodes(data, episodes, order)
    users, items = (
        roles_by_hash(side.ids, np.unique(codes), seed=seed, side=name, test=test, validation=validation)
        for side, codes, name, test, validation in (
            (data.users, data.user, f"{task}s' side", test_users, validation_users),
            (data.items, data.item, "other side", test_items, validation_items),
        )
    )
    pairs = held_out(data, seed=seed, test=test_pairs, validation=validation_pairs)
    if not scenarios:
        raise UserError("protocol.scenarios={}: name at least one, as protocol.scenarios={item_cold: w_c}")
    plan = by_state(data, users, items, pairs, planned, scenarios=scenarios, selection=selection, seed=seed)
    plan = trained_only(plan, scenarios, selection or next(iter(scenarios.values())))
    hint = "lower the sizes of protocol.episodes (shots, query, min_history), or raise the shares of what is cold"
    return assemble(
        data, check_enough(data, plan, hint), planned, who=f"{task}s", known=known, candidates=candidates, seed=seed
    )


def trained_only(plan: Plan, scenarios: Mapping[str, State], selection: State) -> Plan:
    """Leave out the tasks of warm users that meta-train does not train on.

    A history filter keeps users from meta-train, and a share of them may be meta-validation.

    Args:
        plan: from `by_state`.
        scenarios: of its test tasks, those to filter -> their state.
        selection: the state of its meta-validation tasks.
    """

    def kept(picks: Picks, state: State) -> Picks:
        there = np.isin(picks.entity, plan.train.entity) if state.startswith("w") else slice(None)
        return Picks(*(values[there] for values in picks))

    test = {name: kept(plan.test[name], state) for name, state in scenarios.items()}
    counts = {
        f"{name}_tasks_dropped_as_not_trained_on": len(plan.test[name].entity) - len(picks.entity)
        for name, picks in test.items()
        if scenarios[name].startswith("w")
    }
    test = {name: test.get(name, picks) for name, picks in plan.test.items()}
    return plan._replace(test=test, validation=kept(plan.validation, selection), counts={**plan.counts, **counts})


def held_out(data: Interactions, *, seed: int, test: float, validation: float) -> Int[np.ndarray, "n"]:
    """Each row's role by chance; it depends on the seed and on the rows in their canonical order."""
    chance = np.random.default_rng([seed, 1]).random(len(data.user))
    return np.where(chance < test, TEST, np.where(chance < test + validation, VALIDATION, WARM))


def by_state(
    data: Interactions,
    users: Int[np.ndarray, "U"],
    items: Int[np.ndarray, "I"],
    pairs: Int[np.ndarray, "n"],
    episodes: EpisodePlan,
    *,
    scenarios: Mapping[str, State],
    selection: State | None,
    seed: int,
) -> Plan:
    """The plan of a split into states, by the roles of users; which of the warm ones are trained on is another thing.

    Args:
        data: the data set.
        users, items: the role of each.
        pairs: the role of each row, of those that are warm on both sides.
        episodes: how rows become supports and queries.
        scenarios, selection, seed: see `matrix`.
    """
    user, item, settings = users[data.user], items[data.item], episodes.settings

    def state(name: State, role: int) -> Bool[np.ndarray, "n"]:
        sides = [role if warmth == "c" else WARM for warmth in name.split("_")]
        here = (user == sides[0]) & (item == sides[1])
        return here & (pairs == role) if name == "w_w" else here

    def rows_of(name: State, role: int):
        return histories(data, state(name, role), order=episodes.order, seed=seed)

    def tasks(name: State, role: int):
        return between(rows_of(name, role), episodes.least, settings.max_history)

    chosen = selection or next(iter(scenarios.values()))
    warm = rows_of("w_w", WARM)
    train = between(warm, episodes.least, settings.max_history)
    return Plan(
        train=train,
        validation=pick(data, tasks(chosen, VALIDATION), episodes, seed=seed, draws=settings.validation_draws),
        test={name: pick(data, tasks(of, TEST), episodes, seed=seed) for name, of in scenarios.items()},
        counts={
            "warm_rows_dropped_by_history_filter": len(warm.row) - len(train.row),
            **{f"{name}_rows": int(state(of, TEST).sum()) for name, of in scenarios.items()},
        },
    )
