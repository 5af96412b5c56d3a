"""What a search gives up early: the worse, never the best, and the same however often it is killed."""

import math
from contextlib import suppress

import pytest
from optuna.distributions import FloatDistribution
from optuna.storages import InMemoryStorage
from optuna.trial import TrialState, create_trial

from recmeta.sweeps.pruning import LEAST, halving, judge, median
from recmeta.sweeps.search import SearchBase, Settings, TrialResult, search
from recmeta.sweeps.space import space
from recmeta.sweeps.storage import store

RATE = {"rate": FloatDistribution(0, 1)}


def asked(study, many):
    """A batch of running trials."""
    for place in range(many):
        study.add_trial(create_trial(state=TrialState.RUNNING, params={"rate": place / many}, distributions=dict(RATE)))
    return study.get_trials()[-many:]


def given_up(judged, step, values):
    return set(judged(step, dict(enumerate(values)) if isinstance(values, list) else values))


def test_the_worse_half_is_given_up_and_stays_so():
    stored = store(InMemoryStorage(), "search", "min")
    judged = judge(stored, asked(stored.study, 6), median, steps=100)
    values = [3.0, 1.0, 2.0, 6.0, 5.0, 4.0]
    assert given_up(judged, 20, values) == set(), "too early to say"
    assert given_up(judged, 30, values) == {3, 4, 5}
    # Those that are gone stand with what they had: none is worse than half of all.
    assert given_up(judged, 40, {0: 2.9, 1: 0.9, 2: 1.9}) == {3, 4, 5}
    why = judged(40, {})[3]
    assert (why.step, why.value) == (30, 6.0)
    assert str(why) == "given up at step 30, with 6.0000 on meta-validation"
    assert given_up(judged, 29, {}) == set(), "none had been given up by then"


def test_halving_keeps_half_then_a_quarter():
    stored = store(InMemoryStorage(), "search", "max")
    judged = judge(stored, asked(stored.study, 16), halving, steps=100)
    left = {place: float(place) for place in range(16)}
    for step, expected in ((10, 16), (30, 8), (40, 8), (50, 4), (90, 4)):
        gone = given_up(judged, step, left)
        left = {place: value for place, value in left.items() if place not in gone}
        assert len(left) == expected
    assert set(left) == {12, 13, 14, 15}, "the best"


@pytest.mark.parametrize("share", [median, halving])
def test_the_best_at_a_step_is_never_given_up(share):
    stored = store(InMemoryStorage(), "search", "min")
    judged = judge(stored, asked(stored.study, 8), share, steps=9)
    left = range(8)
    for step in range(1, 9):
        values = {place: (place * step) % 7 - step for place in left}
        gone = given_up(judged, step, values)
        assert min(values, key=values.__getitem__) not in gone
        left = [place for place in left if place not in gone]
    assert len(left) < 8


def test_equals_are_treated_alike_and_no_number_is_worst():
    stored = store(InMemoryStorage(), "search", "min")
    judged = judge(stored, asked(stored.study, 6), median, steps=2)
    assert given_up(judged, 1, [1.0, 1.0, 1.0, 1.0, math.inf, math.inf]) == {4, 5}


def test_a_few_trials_are_too_few_to_judge_by():
    stored = store(InMemoryStorage(), "search", "min")
    judged = judge(stored, asked(stored.study, LEAST - 1), median, steps=2)
    assert given_up(judged, 1, [float(place) for place in range(LEAST - 1)]) == set()


def test_later_batches_are_judged_by_earlier_ones():
    stored = store(InMemoryStorage(), "search", "min")
    first = asked(stored.study, 6)
    judge(stored, first, median, steps=20)(10, dict.fromkeys(range(6), 1.0))
    assert given_up(judge(stored, asked(stored.study, 2), median, steps=20), 10, [0.5, 1.5]) == {1}


class Killed(BaseException):
    """What no search survives."""


STEPS = 8


def curve(rate, step):
    """Of a trial: the best is at a rate of 0.3."""
    return abs(rate - 0.3) + 1 / step


def launcher(steps, die_at=None):
    """Trains the trials of a batch side by side. ``steps`` are those taken, of all trials; it dies at the nth."""

    def launch(points, first, judged):
        rates = [float(point[0].partition("=")[2]) for point in points]
        gone = dict(judged(0, {})) if judged else {}
        for step in range(1, STEPS + 1):
            here = [place for place in range(len(rates)) if place not in gone]
            for _ in here:
                if len(steps) == die_at:
                    raise Killed
                steps.append(step)
            if judged and step < STEPS:
                gone |= judged(step, {place: curve(rates[place], step) for place in here})
        return [
            TrialResult(None, None, str(gone[place]), 1.0, pruned=True)
            if place in gone
            else TrialResult(curve(rate, STEPS), None, "", 1.0)
            for place, rate in enumerate(rates)
        ]

    return launch


def searched(folder, launch, pruner):
    how = Settings("tpe", trials=16, batch=8, seed=0, pruner=pruner, storage=None)
    return search(folder, space(["rate=interval(0.0,1.0)"]), how, SearchBase("", "min", STEPS, None), launch)


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_a_pruned_search_costs_less_and_finds_as_good(tmp_path, pruner):
    all_steps, steps = [], []
    whole = searched(tmp_path / "whole", launcher(all_steps), "none")
    record = searched(tmp_path / pruner, launcher(steps), pruner)
    assert len(steps) < {"median": 0.8, "halving": 0.65}[pruner] * len(all_steps)
    assert record["counts"]["done"] + record["counts"]["pruned"] == 16
    assert record["best"]["value"] < whole["trials"][0]["value"]
    assert record["best"]["value"] == pytest.approx(whole["best"]["value"], abs=0.02)
    for trial in record["trials"]:
        assert (
            (trial["state"] == "pruned") == (trial["pruned_at"] is not None) == trial["reason"].startswith("given up")
        )


@pytest.mark.parametrize("pruner", ["median", "halving"])
def test_killed_anywhere_the_same_trials_are_given_up(tmp_path, pruner):
    steps = []
    whole = searched(tmp_path / "whole", launcher(steps), pruner)
    for die_at in range(3, len(steps), len(steps) // 3):
        folder = tmp_path / str(die_at)
        with suppress(Killed):
            searched(folder, launcher([], die_at), pruner)
        assert searched(folder, launcher([]), pruner) == whole
