"""Prune trials of a search by their values on meta-validation so far.

A trial goes on while it is among the best of all trials of the search, each by its best value by the same step; one
that was pruned or ended before counts with the value it had. Optuna's pruners compare a trial with earlier ones; the
trials of a block run side by side and are compared all at once, so that their order does not matter.

Reported values and decisions are kept in the search's storage, and decisions depend on reported values alone: a search
that is killed and resumed decides the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence

import optuna
from optuna.trial import FrozenTrial

from recmeta.sweeps.storage import Stored
from recmeta.types import Pruned

LEAST = 5
"""Fewest trials known at a step for one to be pruned; as in Optuna's pruners."""

FIRST = 1 / 4
"""Share of training before which no trial is pruned."""

DECIDED = "pruned"
"""Attribute of a pruned trial: the step of pruning, and its value there."""

Judge = Callable[[int, Mapping[int, float]], Mapping[int, Pruned]]
"""``(step, index in the batch -> value)`` -> the trials pruned by this step; as `experiment.block.Prune`."""


def median(done: float) -> float:
    """The share of all trials that may go on at a share of training: half, from a quarter of it on.

    Not earlier: slow learners are behind at first, and the best trial is often among them (docs/sweeps.md).
    """
    return 1.0 if done < FIRST else 0.5


def halving(done: float) -> float:
    """Successive halving: half go on from a quarter of the training, a quarter from half of it.

    >>> [halving(done) for done in (0.2, 0.25, 0.4, 0.5, 0.9)]
    [1.0, 0.5, 0.5, 0.25, 0.25]
    """
    return 1.0 if done < FIRST else 0.5 ** (1 + math.floor(math.log2(done / FIRST)))


PRUNERS: Mapping[str, Callable[[float], float]] = {"median": median, "halving": halving}


def judge(stored: Stored, batch: Sequence[FrozenTrial], share: Callable[[float], float], steps: int) -> Judge:
    """Returns a function that prunes the trials of a batch while they run.

    Args:
        stored: the study that keeps values and decisions.
        batch: the trials.
        share: share of training done -> share of all trials that may go on.
        steps: steps of a complete training.
    """
    study = stored.study
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1

    def judged(step: int, values: Mapping[int, float]) -> Mapping[int, Pruned]:
        known = study.get_trials(deepcopy=False)
        for place, value in values.items():
            # Values reported before a kill are final, and so are the decisions by them.
            if step not in known[batch[place].number].intermediate_values:
                stored.report(batch[place].number, step, value)
        known = study.get_trials(deepcopy=False)
        values_by = {trial.number: by(step, trial.intermediate_values) for trial in known}
        last = {number: sign * value for number, value in values_by.items() if value is not None}
        for place in values if len(last) >= LEAST else ():
            number = batch[place].number
            better = sum(value < last[number] for value in last.values())
            if DECIDED not in known[number].user_attrs and better >= share(step / steps) * len(last):
                stored.annotate(number, DECIDED, [step, sign * last[number]])
        known = study.get_trials(deepcopy=False)
        decided = {place: known[trial.number].user_attrs.get(DECIDED) for place, trial in enumerate(batch)}
        return {place: Pruned(*decision) for place, decision in decided.items() if decision and decision[0] <= step}

    return judged


def by(step: int, curve: Mapping[int, float]) -> float | None:
    """The latest value of a curve by a step; None where there is none.

    >>> by(250, {300: 0.7, 100: 0.9, 200: 0.8}), by(50, {100: 0.9})
    (0.8, None)
    """
    return curve[max(known)] if (known := [at for at in curve if at <= step]) else None
