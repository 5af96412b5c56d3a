"""metahin: the users who came last and the items that were released last are cold, as MetaHIN had them."""

from __future__ import annotations

from typing import Annotated, Literal

import numpy as np
from annotated_types import MinLen

from recmeta.features.kinds import kind_of
from recmeta.protocols.episodes import Part
from recmeta.protocols.plan import TEST, WARM, digest, times
from recmeta.protocols.published import PublishedEpisodes, four_states
from recmeta.types import Interactions, Problem, UserError

Scenario = Literal["w_w", "c_w", "w_c", "c_c", "w_w_as_published", "w_c_as_published"]


def metahin(
    interactions: Interactions,
    *,
    scenarios: Annotated[tuple[Scenario, ...], MinLen(1)],
    seed: int,
    cold_users: Part,
    cold_from_year: int,
    validation: Part,
    held_out_pairs: Part,
    episodes: PublishedEpisodes,
) -> Problem:
    """MetaHIN's states: the users who came last are cold, and so are the items that were released last.

    Tasks of 13 to 100 ratings in a state; the query is the last 10, the support what is before. The warm-warm state is
    a tenth of the warm ratings, held out. The filter of its evaluation code, which drops all tasks with more than 5
    support rows, is not applied: say ``protocol.episodes.shots=[5]`` for short supports.

    A user of ``w_w`` and ``w_c`` is one whom meta-train trains on; ``w_w_as_published`` and ``w_c_as_published`` have
    every user who is not cold, as MetaHIN's files do.

    Args:
        interactions: with times and a numeric item feature "year".
        scenarios: what to test on: w_w, c_w, w_c, c_c (the user's warmth, then the item's), w_w_as_published,
            w_c_as_published.
        seed, validation, held_out_pairs, episodes: see `melu`.
        cold_users: the share of users, by their first rating, who are cold.
        cold_from_year: items released in this year or later are cold.

    Raises:
        UserError: without times or years.

    Reference: Lu et al., Meta-learning on heterogeneous information networks for cold-start recommendation, KDD 2020.
    """
    year = interactions.items.features.get("year")
    if year is None or not kind_of(year.kind).numbers:
        raise UserError(f"protocol=metahin: {interactions.name} has no numeric item feature year; use protocol=matrix")
    if interactions.time is None:
        raise UserError(f"protocol=metahin: {interactions.name} has no times; use protocol=matrix")
    first = np.full(len(interactions.users.ids), np.iinfo(np.int64).max)
    np.minimum.at(first, interactions.user, times(interactions))
    chance = [digest(seed, "user", name) for name in interactions.users.ids]
    latest = sorted(range(len(first)), key=lambda user: (-first[user], chance[user]))[: round(cold_users * len(first))]
    users = np.full(len(first), WARM)
    users[latest] = TEST
    items = np.where(year.values >= cold_from_year, TEST, WARM)
    return four_states(
        interactions, users, items, scenarios=scenarios, seed=seed, order="time", validation=validation,
        held_out_pairs=held_out_pairs, episodes=episodes,
    )  # fmt: skip
