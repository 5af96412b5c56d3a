"""Run a list of cleaning steps in order, count their effects, and hash them with the data."""

from __future__ import annotations

import hashlib
import inspect
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from recmeta.cleaning.choosing import every, side
from recmeta.cleaning.implicit import negatives
from recmeta.cleaning.preparations import bucket, clip, standardise, vocabulary
from recmeta.cleaning.rules import activity, binarise, kcore, label_range, missing, window
from recmeta.datasets.interactions import fingerprint
from recmeta.types import Interactions, UserError

_ALL = (
    label_range, window, missing, activity, kcore, binarise, negatives, clip, bucket, standardise, vocabulary,
)  # fmt: skip
STEPS = {step.__name__: step for step in _ALL}
"""The steps that a name is enough for."""


def clean(interactions: Interactions, *, steps: Sequence[partial[Interactions]]) -> Interactions:
    """Run cleaning steps in order.

    Args:
        interactions: the data set as it was loaded.
        steps: partials that take ``interactions`` and return others. The counts that a step's result has are its own:
            what it wants to tell beside what is counted of every rule (rows in, dropped or added, and out).

    Returns:
        The cleaned data set. Its ``counts`` go on with what each step did; its hash is of what is left and of the list,
        so that another list is another data set even where it comes to the same rows. Without steps: what came in.

    Raises:
        UserError: a step refuses, or leaves no rows.
    """
    data, counts = interactions, dict(interactions.counts)
    for place, step in enumerate(steps):
        where = f"cleaning.steps[{place}], {_name(step)}"
        before = replace(data, counts={})
        try:
            data = step(before)
        except UserError as error:
            raise UserError(f"{where}: {error}") from error
        if not len(data.user):
            raise UserError(f"{where}: none of {len(before.user):,} rows is left; loosen it, or the steps before it")
        counts |= {f"{_occurrence(steps, place)}: {what}": count for what, count in _effects(before, data).items()}
    if not steps:
        return interactions
    listing = json.dumps([_described(step) for step in steps], sort_keys=True)
    digest = hashlib.sha256(f"{fingerprint(data)} {listing}".encode())
    return _without_stale(interactions, replace(data, counts=counts, sha256=digest.hexdigest()))


def blocks(cleaning: Any) -> Iterator[tuple[str, Mapping[str, Any]]]:
    """Convert the config's list to component blocks, each with its place for messages.

    Args:
        cleaning: the group's value: ``{"steps": [...]}``. A step is ``{"step": "kcore", "users": 5}``, its name alone
            where it needs no setting, or a block with a ``_target_`` of one's own.

    Raises:
        UserError: a list that is none, or a step without a name or with an unknown one.
    """
    if not isinstance(cleaning, Mapping) or set(cleaning) != {"steps"} or not isinstance(cleaning["steps"], list):
        raise UserError(f"cleaning={cleaning}: must be a block with steps, a list, as cleaning.steps=[binarise]")
    for place, step in enumerate(cleaning["steps"]):
        where = f"cleaning.steps[{place}]"
        given = {"step": step} if isinstance(step, str) else step
        if not isinstance(given, Mapping) or ("step" in given) == ("_target_" in given):
            raise UserError(f"{where}={step}: give a step by its name, as {{step: kcore, users: 5}}, or a _target_")
        if "_target_" in given:
            yield where, given
            continue
        if given["step"] not in STEPS:
            raise UserError(f"{where}.step={given['step']}: no such step; there are {', '.join(STEPS)}")
        settings = {key: value for key, value in given.items() if key != "step"}
        target = f"recmeta.cleaning.{given['step']}"
        yield where, {"_target_": target, "_partial_": True, "_convert_": "all", **settings}


def _name(step: partial[Interactions]) -> str:
    """Return a known step's name; for another, with its module."""
    function: Any = step.func
    name = function.__name__
    return name if STEPS.get(name) is function else f"{function.__module__}.{function.__qualname__}"


def _occurrence(steps: Sequence[partial[Interactions]], place: int) -> str:
    """A step's name in counts: of one that occurs again, with its number."""
    names = [_name(step) for step in steps[: place + 1]]
    number = names.count(names[-1])
    return names[-1] if number == 1 else f"{names[-1]} ({number})"


def _described(step: partial[Interactions]) -> list[Any]:
    """A step as it is hashed: its name and all its settings, the defaults too."""
    parameters = inspect.signature(step.func).parameters.values()
    defaults = {each.name: each.default for each in parameters if each.default is not each.empty}
    return [_name(step), defaults | step.keywords]


def _effects(before: Interactions, after: Interactions) -> dict[str, int]:
    """Count the effects of a rule on rows, users and items; a preparation has none yet."""
    if _prepared(before) != _prepared(after):
        return dict(after.counts)
    came, left = len(before.user), len(after.user)
    effects = {"rows in": came, "rows dropped": max(0, came - left)}
    if left > came:
        effects["rows added"] = left - came
    effects["rows out"] = left
    for name, relation in before.relations.items():
        effects[f"{name} edges dropped"] = len(relation.source) - len(after.relations[name].source)
    for who, old, new in (("users", before.users, after.users), ("items", before.items, after.items)):
        effects[f"{who} dropped"] = len(old.ids) - len(new.ids)
    if came == left and (changed := int((before.label != after.label).sum())):
        effects["labels changed"] = changed
    return effects | dict(after.counts)


def _prepared(data: Interactions) -> int:
    """Count the preparations noted on the columns."""
    return sum(len(side(data, name).features[feature].preparations) for name, feature in every(data))


def _without_stale(before: Interactions, after: Interactions) -> Interactions:
    """The cleaned data set without the best errors possible, where other rows or labels make them those of another."""
    same = len(before.user) == len(after.user) and np.array_equal(before.label, after.label)
    if same or before.attainable is None:
        return after
    note = "the best errors possible are known of the data as it was, and not of the cleaned rows: left out"
    return replace(after, attainable=None, notes=(*after.notes, note))
