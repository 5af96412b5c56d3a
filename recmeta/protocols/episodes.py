"""The settings of episodes that all protocols share: support sizes, query sizes, history limits, negatives."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal, NamedTuple

from annotated_types import Ge, Gt, Lt, MinLen

from recmeta.types import Interactions, UserError

Share = Annotated[float, Ge(0), Lt(1)]
Part = Annotated[float, Gt(0), Lt(1)]
Count = Annotated[int, Ge(1)]
Shots = Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)]
TrainShots = Annotated[tuple[Count, ...], MinLen(1)] | Literal["all"] | None
Order = Literal["random", "time"]


class NegativeSampling(NamedTuple):
    """Sampling of negatives for each task at each visit in training (`protocol.episodes.negatives`).

    Attributes:
        number: of negatives per task; 0: none.
        by: the distribution: "uniform", or proportional to "popularity" ** ``power``, the popularity of an item being
            its number of meta-train rows.
        power: of the popularity.
        among: the items to draw from: "all" that meta-train has rows of, or "then", those of them that had a row by the
            time of the task's first query row.
    """

    number: Annotated[int, Ge(0)] = 0
    by: Literal["uniform", "popularity"] = "uniform"
    power: Annotated[float, Ge(0)] = 0.75
    among: Literal["all", "then"] = "all"


class Episodes(NamedTuple):
    """Sizes of a task's support and query, in training and at test: the block `protocol.episodes`.

    Attributes:
        shots: support sizes to evaluate at; supports are nested, the query is the same for all.
        query: rows per query.
        train_shots: support sizes to train at, one drawn per visit; None for all of ``shots`` above 0, "all" for every
            size up to the largest of them.
        train_query: the most query rows in training: up to so many of those that are not drawn for the support, also
            where the support is shown in part. A model of each item learns from every row that it is asked for, so that
            more of them train it faster than more visits do. None: ``query``.
        headline: the support size that summaries are at; None for the largest.
        min_history, max_history: tasks with fewer or more rows are left out, and counted. None: as few as the largest
            support and the query need; no upper limit. Below that, a short history has a short support.
        validation_draws: supports and queries per meta-validation task (in time order there is one).
        negatives: see `NegativeSampling`.
    """

    shots: Shots
    query: Count
    train_shots: TrainShots = None
    train_query: Count | None = None
    headline: int | None = None
    min_history: Count | None = None
    max_history: Count | None = None
    validation_draws: Count = 1
    negatives: NegativeSampling = NegativeSampling()


class EpisodePlan(NamedTuple):
    """Episodes of a data set, with every default filled in.

    Attributes:
        settings: as they were set.
        order: "random": from anywhere in the history; "time": the first rows are the support, the next ones the query.
        shots: support sizes to evaluate at, ascending.
        train_shots: support sizes to train at.
        train_query: the most query rows of a task in training.
        headline: the support size that summaries are at.
        least: the fewest rows that a task may have.
    """

    settings: Episodes
    order: Order
    shots: tuple[int, ...]
    train_shots: tuple[int, ...]
    train_query: int
    headline: int
    least: int

    @property
    def support(self) -> int:
        """The most support rows of a task."""
        return max(*self.shots, 1)


def plan_episodes(data: Interactions, episodes: Episodes, order: Order) -> EpisodePlan:
    """Fill in the defaults of the settings, and check these against each other and the data.

    Args:
        data: the data set.
        episodes: the settings.
        order: of a task's rows.

    Raises:
        UserError: where they contradict each other or the data.
    """
    _check_times(data, episodes, order)
    shots, query = episodes.shots, episodes.query
    largest = max(*shots, 1)
    headline = max(shots) if episodes.headline is None else episodes.headline
    every = tuple(range(1, largest + 1)) if episodes.train_shots == "all" else episodes.train_shots
    train_shots = every or tuple(k for k in shots if k > 0) or (largest,)
    if headline not in shots:
        raise UserError(f"protocol.episodes.headline={headline} is not one of protocol.episodes.shots={list(shots)}")
    if max(train_shots) > largest:
        raise UserError(
            f"protocol.episodes.train_shots={list(train_shots)}: none may be above the largest of "
            f"protocol.episodes.shots, {largest}"
        )
    if episodes.train_query is not None and episodes.train_query < query:
        raise UserError(
            f"protocol.episodes.train_query={episodes.train_query}: must be no less than "
            f"protocol.episodes.query={query}"
        )
    least = _fewest(largest + query, episodes)
    ascending = tuple(sorted(set(shots)))
    return EpisodePlan(episodes, order, ascending, tuple(train_shots), episodes.train_query or query, headline, least)


def _check_times(data: Interactions, episodes: Episodes, order: Order) -> None:
    """Refuse a setting that needs the times of rows where there are none."""
    if data.time is not None:
        return
    lacks = f"{data.name} has no time column"
    if order == "time":
        raise UserError(
            f"protocol.order=time: {lacks}; use protocol.order=random, or name the column (dataset.columns.time=...)"
        )
    if episodes.negatives.number and episodes.negatives.among == "then":
        raise UserError(f"protocol.episodes.negatives.among=then: {lacks}; use protocol.episodes.negatives.among=all")


def _fewest(need: int, episodes: Episodes) -> int:
    """The fewest rows that a task may have; ``need``, the largest support and the query together, by default."""
    least = need if episodes.min_history is None else episodes.min_history
    if least <= episodes.query:
        raise UserError(
            f"protocol.episodes.min_history={least}: must be above protocol.episodes.query={episodes.query}, to leave "
            "a support"
        )
    if episodes.max_history is not None and episodes.max_history < least:
        raise UserError(
            f"protocol.episodes.max_history={episodes.max_history} is below protocol.episodes.min_history={least}: no "
            "task can be left"
        )
    return least


def full_support(shots: Sequence[int]) -> tuple[int]:
    """The support sizes to train at of a protocol that always shows the largest support in training."""
    return (max(*shots, 1),)
