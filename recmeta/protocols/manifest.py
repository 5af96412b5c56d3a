"""manifest: a split that is given row by row, by a file or by the data set's own files."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
from jaxtyping import Bool

from recmeta.protocols.assemble import assemble
from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.episodes import EpisodePlan, Episodes, Order, plan_episodes
from recmeta.protocols.given import QUERY, SUPPORT, Given, read_given
from recmeta.protocols.plan import (
    VALIDATION,
    WARM,
    Histories,
    Labels,
    Picks,
    Plan,
    Side,
    between,
    check_enough,
    histories,
    labelled,
    lay_out,
    pick,
    turned,
    turns,
)
from recmeta.types import Interactions, Problem, UserError


def manifest(
    interactions: Interactions,
    *,
    file: str | os.PathLike[str] | None,
    columns: Mapping[str, str | None],
    known: bool | None,
    task: Side,
    seed: int,
    order: Order,
    labels: Labels,
    episodes: Episodes,
    candidates: CandidateRule,
) -> Problem:
    """Keep to a split that is given: the role of each row, from a file or as the data set's own files have it.

    Rows of the role train are meta-train. A task is what a user has in another role, in one scenario. Where the file
    says which rows are support and which query, that is what they are. Where it does not, there are two cases. If none
    of the users who are tested on has a train row, support and query are both drawn from the rows of their own role, as
    under `user_cold`. If all of them have, as where each user's rows were split, the support is drawn from a user's
    train rows and the query from those of the role. A query has at most ``episodes.query`` rows.

    Args:
        interactions: the clean data set.
        file: of the columns user, item and role (train, validation or test), and maybe scenario and part (support or
            query), as CSV, TSV or Parquet; None: `Interactions.part`, which RecBole's split files give.
        columns: names of these columns; None where there is none.
        known: whether a user's own id is an input; None: where the users who are tested on are trained on.
        task, order, labels, candidates: see `user_cold`.
        seed: of the draws of rows.
        episodes: see `user_cold`. Without ``min_history`` a task needs as many support rows as the largest of ``shots``
            and as many query rows as ``query``.

    Raises:
        UserError: where nothing gives a split, or it can't be kept to, with file and line.
    """
    given = read_given(interactions, file, columns)
    # A file says users and items, so that it is read before they are turned about.
    data = labelled(turned(interactions, task), labels)
    planned = plan_episodes(data, episodes, order)
    plan, warm = _plan(data, given, planned, seed)
    hint = "give more rows, or lower protocol.episodes.shots, protocol.episodes.query or protocol.episodes.min_history"
    known = warm if known is None else known
    return assemble(
        data, check_enough(data, plan, hint), planned, who=f"{task}s", known=known, candidates=candidates, seed=seed
    )


def _plan(data: Interactions, given: Given, planned: EpisodePlan, seed: int) -> tuple[Plan, bool]:
    """The plan of a given split, and whether the users who are asked about are trained on."""

    def rows_of(where: Bool[np.ndarray, "n"]) -> Histories:
        return histories(data, where, order=planned.order, seed=seed)

    everyone = rows_of(given.role == WARM)
    train = between(everyone, planned.least, planned.settings.max_history)
    warm = _are_warm(data, given, everyone)
    tasks = partial(_tasks, data, given, everyone, rows_of, planned, warm=warm, seed=seed)
    plan = Plan(
        train=train,
        validation=tasks(given.role == VALIDATION, draws=planned.settings.validation_draws),
        test={name: tasks(given.scenario == place) for place, name in enumerate(given.scenarios)},
        counts={
            **given.counts,
            "rows_of_no_role": int((given.role < 0).sum()),
            "train_rows_dropped_by_history_filter": len(everyone.row) - len(train.row),
        },
    )
    return plan, warm


def _are_warm(data: Interactions, given: Given, train: Histories) -> bool:
    """Whether the users who are asked about have train rows.

    Raises:
        UserError: where some have and others have not, and nothing says which rows are their support.
    """
    there = np.isin(np.unique(data.user[given.role > WARM]), train.entity)
    if there.any() and not there.all() and not given.has_parts:
        raise UserError(
            f"{given.where}: of {len(there):,} users who are validated or tested on, {int(there.sum()):,} have train "
            "rows and the others none, so that their support is open; give a column part, of support and query"
        )
    return bool(there.all())


def _tasks(
    data: Interactions, given: Given, train: Histories, rows_of: Callable[[np.ndarray], Histories],
    planned: EpisodePlan, where: Bool[np.ndarray, "n"], *, warm: bool, seed: int, draws: int = 1,
) -> Picks:  # fmt: skip
    """The tasks of the rows of a role: of one scenario, or of meta-validation."""
    if given.has_parts:
        shown, asked = (rows_of(where & (given.part == part)) for part in (SUPPORT, QUERY))
        return pick_apart(data, shown, asked, planned, seed=seed)
    if warm:
        return pick_apart(data, train, rows_of(where), planned, seed=seed)
    left = between(rows_of(where), planned.least, planned.settings.max_history)
    return pick(data, left, planned, seed=seed, draws=draws)


def pick_apart(data: Interactions, shown: Histories, asked: Histories, planned: EpisodePlan, *, seed: int) -> Picks:
    """Fix supports and queries that are drawn from different rows of an entity.

    In random order both are drawn at random; in time order the support is the latest of its rows, oldest first, and the
    query the first of its rows.

    Args:
        data: the data set.
        shown: where supports are drawn from; an entity that is not there has none.
        asked: where queries are drawn from; these are the tasks.
        planned: how many rows of each.
        seed: of the draws.
    """
    settings, most = planned.settings, planned.support
    rows = dict(zip(shown.entity.tolist(), turns(data, shown, planned.order, seed=seed), strict=True))
    none = np.zeros(0, int)
    cut = slice(-most, None) if planned.order == "time" else slice(most)
    entities, supports, queries = [], [], []
    for entity, query in zip(asked.entity.tolist(), turns(data, asked, planned.order, seed=seed), strict=True):
        support = rows.get(entity, none)
        if _is_enough(len(support), len(query), planned):
            entities.append(entity)
            supports.append(support[cut])
            queries.append(query[: settings.query])
    return Picks(np.array(entities, int), lay_out(supports, most), lay_out(queries, settings.query))


def _is_enough(shown: int, asked: int, planned: EpisodePlan) -> bool:
    settings = planned.settings
    if shown + asked > (settings.max_history or np.inf):
        return False
    if settings.min_history is None:
        return shown >= max(planned.shots) and asked >= settings.query
    return asked > 0 and shown + asked >= settings.min_history
