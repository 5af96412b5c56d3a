"""Split warm and cold users by warm and cold items, for the published protocols of MeLU and MetaHIN."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Int

from recmeta.protocols.assemble import assemble
from recmeta.protocols.episodes import Count, Episodes, NegativeSampling, Order, Shots, full_support, plan_episodes
from recmeta.protocols.matrix import State, by_state, held_out, trained_only
from recmeta.protocols.plan import VALIDATION, WARM, check_enough, only, pick, roles_by_hash
from recmeta.types import Interactions, Problem

STATES: dict[str, State] = {"w_w": "w_w", "c_w": "c_w", "w_c": "w_c", "c_c": "c_c"}
"""Those that a warm user's tasks are in only where meta-train trains on the user."""

AS_PUBLISHED: dict[str, State] = {"w_w_as_published": "w_w", "w_c_as_published": "w_c"}
"""The published rule to the letter: every user who is not cold, most of whom no training has seen."""

LEAST, MOST = 13, 100
"""MeLU's history filter, in ratings of a state; MetaHIN took it over."""


class PublishedEpisodes(NamedTuple):
    """The settings of episodes that MeLU's and MetaHIN's protocols leave open; see `recmeta.protocols.episodes`."""

    shots: Shots
    query: Count
    validation_draws: Count = 1
    negatives: NegativeSampling = NegativeSampling()


def four_states(
    data: Interactions, users: Int[np.ndarray, "U"], items: Int[np.ndarray, "I"], *, scenarios: Sequence[str],
    seed: int, order: Order, validation: float, held_out_pairs: float, episodes: PublishedEpisodes,
) -> Problem:  # fmt: skip
    """Test on states of users and items; validate on warm users who are kept from training, on warm items.

    Args:
        data: the data set.
        users, items: the role of each.
        scenarios: what to test on, of `STATES` and `AS_PUBLISHED`.
        seed, order, validation, held_out_pairs, episodes: see `melu`.
    """
    least = max(LEAST, episodes.query + 1)
    settings = Episodes(
        **episodes._asdict(), train_shots=full_support(episodes.shots), min_history=least, max_history=MOST
    )
    planned = plan_episodes(data, settings, order)
    pairs = held_out(data, seed=seed, test=held_out_pairs, validation=0)
    states: dict[str, State] = {name: (STATES | AS_PUBLISHED)[name] for name in scenarios}
    plan = by_state(data, users, items, pairs, planned, scenarios=states, selection="c_w", seed=seed)
    warm = plan.train
    kept = roles_by_hash(data.users.ids, warm.entity, seed=seed, side="user", test=0, validation=validation)
    role = kept[warm.entity]
    draws = episodes.validation_draws
    plan = plan._replace(
        train=only(warm, role == WARM),
        validation=pick(data, only(warm, role == VALIDATION), planned, seed=seed, draws=draws),
    )
    plan = trained_only(plan, {name: STATES[name] for name in scenarios if name in STATES}, "c_w")
    return assemble(data, check_enough(data, plan, "there are too few ratings"), planned)
