"""Protocols as published systems had them: melu, metahin, tanp. `docs/protocols.md` says where these differ."""

from __future__ import annotations

import json
from functools import cache
from importlib import resources

import numpy as np

from recmeta.protocols.assemble import assemble
from recmeta.protocols.matrix import State, by_state, held_out
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
    pick,
    roles_by_hash,
    times,
    turns,
)
from recmeta.types import Interactions, Problem, UserError

STATES: dict[str, State] = {"w_w": "w_w", "c_w": "c_w", "w_c": "w_c", "c_c": "c_c"}
LEAST, MOST = 13, 100
"""MeLU's history filter, in ratings of a state; MetaHIN took it over."""


def melu(
    interactions: Interactions,
    *,
    seed: int,
    shots: Shots,
    query: Count,
    validation: Part,
    held_out_pairs: Part,
    validation_draws: Count,
) -> Problem:
    """MeLU's four states of MovieLens 1M: its own cold users and cold items, tasks of 13 to 100 ratings.

    The query is 10 ratings at random, the support all others of the user in that state. To what MeLU had this adds a
    warm-warm state to test on (``held_out_pairs`` of the warm ratings, which are then not trained on), and
    meta-validation: a share of the warm users, who are not trained on either. In ``w_c`` they are tested on like all
    other warm users.

    Args:
        interactions: MovieLens 1M.
        seed: of the draws, of the pairs held out, and of the meta-validation users.
        shots: support sizes to evaluate at; the largest is the headline, and stands for all where it is 90.
        query: rows per query.
        validation: share of the warm users.
        held_out_pairs: share of the warm-warm ratings.
        validation_draws: supports and queries per meta-validation user.

    Raises:
        UserError: for another data set.

    Reference: Lee et al., MeLU: Meta-learned user preference estimator for cold-start recommendation, KDD 2019.
    """
    listed = _melu_ids()
    users = _listed(interactions, interactions.users.ids, listed["cold_users"])
    items = _listed(interactions, interactions.items.ids, listed["cold_items"])
    return _states(
        interactions, users, items, seed, "random", shots, query, validation, held_out_pairs, validation_draws
    )


def metahin(
    interactions: Interactions,
    *,
    seed: int,
    shots: Shots,
    query: Count,
    cold_users: Part,
    cold_from_year: int,
    validation: Part,
    held_out_pairs: Part,
    validation_draws: Count,
) -> Problem:
    """MetaHIN's states: the users who came last are cold, and so are the items that were released last.

    Tasks of 13 to 100 ratings in a state; the query is the last 10, the support what is before. The warm-warm state is
    a tenth of the warm ratings, held out. The filter of its evaluation code, which drops all tasks with more than 5
    support rows, is not applied: say ``protocol.shots=[5]`` for short supports.

    Args:
        interactions: with times and a numeric item feature "year".
        seed, shots, query, validation, held_out_pairs, validation_draws: see `melu`.
        cold_users: the share of users, by their first rating, who are cold.
        cold_from_year: items released in this year or later are cold.

    Raises:
        UserError: without times or years.

    Reference: Lu et al., Meta-learning on heterogeneous information networks for cold-start recommendation, KDD 2020.
    """
    year = interactions.items.features.get("year")
    if year is None or year.kind != "numeric":
        raise UserError(f"protocol=metahin: {interactions.name} has no numeric item feature year; use protocol=matrix")
    if interactions.time is None:
        raise UserError(f"protocol=metahin: {interactions.name} has no times; use protocol=matrix")
    first = np.full(len(interactions.users.ids), np.iinfo(np.int64).max)
    np.minimum.at(first, interactions.user, times(interactions))
    latest = np.argsort(-first, kind="stable")[: round(cold_users * len(first))]
    users = np.full(len(first), WARM)
    users[latest] = TEST
    items = np.where(year.values >= cold_from_year, TEST, WARM)
    return _states(interactions, users, items, seed, "time", shots, query, validation, held_out_pairs, validation_draws)


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


def _states(data, users, items, seed, order, shots, query, validation, held_out_pairs, validation_draws) -> Problem:
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
