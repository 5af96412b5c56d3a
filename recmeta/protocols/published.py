"""Split warm and cold users by warm and cold items as MeLU and MetaHIN did: what the two published protocols share."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Int

from recmeta.protocols.assemble import assemble
from recmeta.protocols.matrix import State, by_state, held_out
from recmeta.protocols.plan import VALIDATION, WARM, Order, check_enough, make_episodes, only, pick, roles_by_hash
from recmeta.types import Interactions, Problem

STATES: dict[str, State] = {"w_w": "w_w", "c_w": "c_w", "w_c": "w_c", "c_c": "c_c"}
LEAST, MOST = 13, 100
"""MeLU's history filter, in ratings of a state; MetaHIN took it over."""


def four_states(
    data: Interactions, users: Int[np.ndarray, "U"], items: Int[np.ndarray, "I"], *, seed: int, order: Order,
    shots: Sequence[int], query: int, validation: float, held_out_pairs: float, validation_draws: int,
) -> Problem:  # fmt: skip
    """Test on four states; validate on warm users who are kept from training, on warm items."""
    episodes = make_episodes(data, order=order, shots=shots, train_shots=(max(*shots, 1),), query=query, headline=None)
    least = max(LEAST, query + 1)
    pairs = held_out(data, seed=seed, test=held_out_pairs, validation=0)
    plan = by_state(
        data,
        users,
        items,
        pairs,
        episodes,
        scenarios=STATES,
        selection="c_w",
        seed=seed,
        least=least,
        most=MOST,
        draws=validation_draws,
    )
    warm = plan.train
    kept = roles_by_hash(data.users.ids, warm.entity, seed=seed, side="user", test=0, validation=validation)
    role = kept[warm.entity]
    plan = plan._replace(
        train=only(warm, role == WARM),
        validation=pick(data, only(warm, role == VALIDATION), episodes, seed=seed, draws=validation_draws),
    )
    return assemble(data, check_enough(data, plan, "there are too few ratings"), episodes)
