"""temporal: all rows before one moment train; users who appear after it are tested on."""

from __future__ import annotations

import numpy as np

from recmeta.protocols.assemble import assemble
from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.episodes import Episodes, Part, plan_episodes
from recmeta.protocols.plan import (
    Labels,
    Plan,
    Side,
    between,
    check_enough,
    histories,
    labelled,
    only,
    pick,
    turned,
)
from recmeta.types import Interactions, Problem, UserError


def temporal(
    interactions: Interactions,
    *,
    task: Side,
    cut: Part,
    validation_cut: Part,
    labels: Labels,
    episodes: Episodes,
    candidates: CandidateRule,
) -> Problem:
    """Cut the data set at two moments, the same for all users.

    What is before the first cut is meta-train. Users who appear between the cuts are meta-validation, by what they did
    there; users who appear after the second are meta-test. Of each, the first rows are the support and the next ones
    the query. So no row that is trained on is later than any row that it helps to predict, and items may be as new as
    users. What earlier users did after the first cut is not used, and counted.

    Args:
        interactions: the clean data set, with times.
        task: "user", or "item": see `user_cold`.
        cut, validation_cut: the moments, as shares of the rows in time order.
        labels, episodes, candidates: see `user_cold`.

    Raises:
        UserError: without times, or where a cut leaves too few tasks.
    """
    if validation_cut >= cut:
        raise UserError(f"protocol.validation_cut={validation_cut:g}: must be below protocol.cut={cut:g}")
    data = labelled(turned(interactions, task), labels)
    planned = plan_episodes(data, episodes, "time")
    # `plan_episodes` has refused data without times.
    when: np.ndarray = np.asarray(data.time)
    first, second = np.sort(when)[[int(len(when) * share) for share in (validation_cut, cut)]]
    appeared = np.full(len(data.users.ids), np.iinfo(np.int64).max)
    np.minimum.at(appeared, data.user, when)

    def arrivals(after: int, before: float):
        """Those who appeared within a stretch of time, by what they did in it."""
        found = histories(data, (when >= after) & (when < before), order="time")
        new = (appeared[found.entity] >= after) & (appeared[found.entity] < before)
        return between(only(found, new), planned.least, episodes.max_history)

    early = histories(data, when < first, order="time")
    train = between(early, planned.least, episodes.max_history)
    plan = Plan(
        train=train,
        validation=pick(data, arrivals(first, second), planned, seed=0),
        test={"temporal": pick(data, arrivals(second, np.inf), planned, seed=0)},
        counts={
            "rows_before_the_first_cut": len(early.row),
            "rows_of_them_dropped_by_history_filter": len(early.row) - len(train.row),
        },
    )
    hint = "lower the sizes and limits of protocol.episodes (shots, query, min_history), or move the cuts apart"
    return assemble(data, check_enough(data, plan, hint), planned, who=f"{task}s", candidates=candidates, seed=0)
