"""Rules between components: combinations that cannot work are refused here, once the data are known."""

from __future__ import annotations

import jax.numpy as jnp
import numpy as np

from recmeta.config.components import NO_CHOICE, Parts
from recmeta.evaluation.score import bounds
from recmeta.features.kinds import arrays_of, names
from recmeta.metrics import check, check_cutoff, check_floor
from recmeta.types import Objective, Params, Problem, UserError


def check_problem(parts: Parts, problem: Problem, objective: Objective) -> None:
    """Check the rules between components that need the data.

    Raises:
        UserError: for a combination that cannot work.
    """
    spec = problem.spec
    if objective.binary and not set(spec.levels) <= {0.0, 1.0}:
        raise UserError(
            f"objective: this one needs labels of 0 and 1, and there are labels from {spec.low:g} to {spec.high:g}; "
            "set protocol.labels=liked, or objective=mse"
        )
    few = bool(np.isin(np.asarray(problem.train.label), np.asarray(spec.levels, np.float32)).all())
    for metric in parts.metrics:
        check(metric, spec.low, spec.high, few=few)
    if parts.metric.name.startswith("legacy."):
        raise UserError(
            f"metric={parts.metric.name}: a published mistake is no metric to choose by; it may be reported"
        )
    if parts.metric.shows:
        raise UserError(NO_CHOICE.format(parts.metric.name))
    _check_shown(parts, problem)
    _check_room(parts, problem)


def _check_shown(parts: Parts, problem: Problem) -> None:
    """Refuse metrics of what is shown where there is no catalogue to show, or nothing to tell its entities apart by."""
    catalogued = [metric for metric in parts.metrics if metric.shows]
    if (asked := [*catalogued, *parts.aggregates]) and not problem.candidates:
        raise UserError(
            f"metrics={asked[0].name}: it asks what is shown of a catalogue, and a task's query rows are none; set "
            "protocol.candidates=full"
        )
    for metric in catalogued:
        compared = [field for field in problem.spec.row if field.name != "id" and arrays_of(field).vectors]
        if metric.shows == "vectors" and not compared:
            kinds = " or ".join(names(lambda kind: kind.arrays is not None and kind.arrays.vectors is not None))
            raise UserError(
                f"metrics={metric.name}: it compares items by their {kinds} features, and there are none; give the "
                "data set some, or leave it out"
            )


def _check_room(parts: Parts, problem: Problem) -> None:
    """Refuse rankings whose candidates leave no room to tell methods apart, and a choice by an undefined metric."""
    batch, candidates = problem.validation, problem.candidates.get("validation")
    ranking = [metric for metric in parts.metrics if metric.reads == "score"]
    room = bounds(ranking, problem.spec, batch, candidates)
    number = batch.task.query.mask.sum(1) if candidates is None else candidates.allowed.sum(1)
    for metric in (*ranking, *parts.aggregates):
        check_cutoff(metric, np.asarray(number))
    for metric in ranking:
        check_floor(metric, np.asarray(room[metric.name].floor))
    # A metric that reads predictions is defined wherever there is a row.
    chosen = parts.metric.reads == "score" and parts.learner is not None
    if chosen and bool(jnp.isnan(room[parts.metric.name].floor).all()):
        raise UserError(
            f"metric={parts.metric.name} is undefined for every meta-validation task: each one's query rows are all "
            f"liked (from {problem.spec.like:g} on) or all not; choose by another metric, or change what is liked"
        )


def unused_parts(shapes: Params) -> list[str]:
    """The groups whose component the learner makes no use of, by the parameters that it has."""
    return [group for group in ("encoder", "scorer") if group not in shapes]
