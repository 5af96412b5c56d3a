"""melu: MeLU's own cold users and cold items of MovieLens 1M. `docs/protocols.md` lists the differences."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources
from typing import Annotated, Literal

import numpy as np
from annotated_types import MinLen

from recmeta.protocols.episodes import Part
from recmeta.protocols.plan import TEST, WARM
from recmeta.protocols.published import PublishedEpisodes, four_states
from recmeta.types import Interactions, Problem, UserError

Scenario = Literal["w_w", "c_w", "w_c", "c_c", "w_c_as_published"]


def melu(
    interactions: Interactions,
    *,
    scenarios: Annotated[tuple[Scenario, ...], MinLen(1)],
    seed: int,
    validation: Part,
    held_out_pairs: Part,
    episodes: PublishedEpisodes,
) -> Problem:
    """MeLU's four states of MovieLens 1M: its own cold users and cold items, tasks of 13 to 100 ratings.

    The query is 10 ratings at random, the support all others of the user in that state. To what MeLU had this adds a
    warm-warm state to test on (``held_out_pairs`` of the warm ratings, which are then not trained on), and
    meta-validation: a share of the warm users, who are not trained on either.

    A user of ``w_w`` and ``w_c`` is one whom meta-train trains on. MeLU's own W-C has every user who is not on its
    list, six in ten of whom its filter of 13 to 100 ratings keeps from training: that is ``w_c_as_published``.

    Args:
        interactions: MovieLens 1M.
        scenarios: what to test on: w_w, c_w, w_c, c_c (the user's warmth, then the item's), w_c_as_published.
        seed: of the draws, of the pairs held out, and of the meta-validation users.
        validation: share of the warm users.
        held_out_pairs: share of the warm-warm ratings.
        episodes: support and query sizes. The largest support is the headline; 90 stands for all there is.

    Raises:
        UserError: for another data set.

    Reference: Lee et al., MeLU: Meta-learned user preference estimator for cold-start recommendation, KDD 2019.
    """
    listed = _melu_ids()
    users = _listed(interactions, interactions.users.ids, listed["cold_users"])
    items = _listed(interactions, interactions.items.ids, listed["cold_items"])
    return four_states(
        interactions, users, items, scenarios=scenarios, seed=seed, order="random", validation=validation,
        held_out_pairs=held_out_pairs, episodes=episodes,
    )  # fmt: skip


@cache
def _melu_ids() -> dict[str, list[str]]:
    found = json.loads(resources.files("recmeta.protocols").joinpath("melu_ml1m.json").read_text(encoding="utf-8"))
    return {name: list(map(str, found[name])) for name in ("cold_users", "cold_items")}


def _listed(data: Interactions, ids: np.ndarray, cold: list[str]) -> np.ndarray:
    """Roles of the entities that a list names, all others being warm.

    Raises:
        UserError: where the list is of another data set.
    """
    listed = np.isin(ids.astype(str), cold)
    if listed.sum() < 0.95 * len(cold):
        raise UserError(
            f"protocol=melu: {data.name} has {listed.sum()} of the {len(cold)} cold ids that MeLU lists for MovieLens "
            "1M; use dataset=ml_1m, or protocol=matrix"
        )
    return np.where(listed, TEST, WARM)
