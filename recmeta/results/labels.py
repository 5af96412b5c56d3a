"""What tells one config from another, in the words of the command line."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

INCIDENTAL = ("name", "output", "force", "reporter", "hydra", "seeds", "metrics", "baselines")
"""Root keys that make no other method: names and paths, how often it is repeated, and what is measured beside it."""

TRAINING = ("train_shots", "train_query", "validation_draws", "headline")
"""Settings of a protocol that training or its model selection reads; test tasks and what is asked of them are the same
whatever they are. They tell methods apart, not tables."""

SETTINGS_OF_HYDRA = ("_target_", "_partial_", "_convert_", "_recursive_")


def identity(config: Mapping[str, Any]) -> dict[str, Any]:
    """A config less what only repeats or names the experiment: equal for runs that belong into one row.

    >>> identity({"name": "a", "seeds": [0], "protocol": {"seed": 3, "order": "time"}})
    {'protocol': {'order': 'time'}}
    """
    return {
        key: {name: value for name, value in block.items() if name != "seed"} if key == "protocol" else block
        for key, block in config.items()
        if key not in INCIDENTAL
    }


def tested(config: Mapping[str, Any]) -> dict[str, Any]:
    """What a config says of the data and the test: equal for runs that belong into one table.

    >>> tested({"protocol": {"seed": 3, "order": "time", "train_shots": [5]}, "learner": {}})
    {'dataset': None, 'protocol': {'order': 'time'}}
    """
    protocol = identity(config).get("protocol")
    kept = {key: value for key, value in protocol.items() if key not in TRAINING} if protocol else None
    return {"dataset": config.get("dataset"), "protocol": kept}


def at_key(config: Mapping[str, Any], key: str) -> Any:
    """What stands at a dotted key; None where nothing does.

    >>> at_key({"learner": {"inner": {"rate": 0.1}}}, "learner.inner.rate"), at_key({}, "a.b")
    (0.1, None)
    """
    value: Any = config
    for name in key.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def choice(block: Any) -> str:
    """The name of a group's choice: the last part of its target.

    >>> choice({"_target_": "recmeta.learners.maml"}), choice(None)
    ('maml', 'none')
    """
    target = block.get("_target_") if isinstance(block, Mapping) else block
    return "none" if target is None else str(target).rpartition(".")[2]


def tell_apart(values: Sequence[Any], path: str = "") -> list[dict[str, str]]:
    """For each of several values at one place of their configs, all settings in which it differs from another.

    The settings of different choices of a group are not compared: the choice says it all. Those of equal choices are.

    >>> maml, ridge = {"_target_": "x.maml", "rate": 1}, {"_target_": "x.ridge"}
    >>> tell_apart([{"learner": maml}, {"learner": maml | {"rate": 2}}, {"learner": ridge}])
    [{'learner': 'maml', 'learner.rate': '1'}, {'learner': 'maml', 'learner.rate': '2'}, {'learner': 'ridge'}]

    Args:
        values: plain values, nested mappings as a rule.
        path: where they stand, with dots.

    Returns:
        One mapping per value, from dotted keys to values as text.
    """
    if all(value == values[0] for value in values):  # also where there are none
        return [{} for _ in values]
    if not all(isinstance(value, Mapping) for value in values):
        return [{path: _text(value)} for value in values]
    targets = [value.get("_target_") for value in values]
    apart: list[dict[str, str]] = [{} for _ in values]
    if len(distinct := list(dict.fromkeys(targets))) > 1:
        short = len({choice(target) for target in distinct}) == len(distinct)
        for target in distinct:
            same = [i for i, other in enumerate(targets) if other == target]
            for i, more in zip(same, tell_apart([values[i] for i in same], path), strict=True):
                apart[i] = {path: choice(target) if short else str(target)} | more
        return apart
    for key in dict.fromkeys(key for value in values for key in value if key not in SETTINGS_OF_HYDRA):
        deeper = tell_apart([value.get(key, ABSENT) for value in values], f"{path}.{key}" if path else str(key))
        apart = [before | more for before, more in zip(apart, deeper, strict=True)]
    return apart


def labels(configs: Sequence[Mapping[str, Any]]) -> tuple[list[str], list[str]]:
    """Short labels that tell configs apart, in as few settings as that takes.

    Args:
        configs: different from each other (`identity`).

    Returns:
        The labels, and the settings that differ too but are not needed in them.
    """
    apart = tell_apart(configs)
    # The learner is what is studied as a rule, so its settings are the last to be left out. Within these and within the
    # others numbers go first: a search may have come upon them, and a choice says more.
    keys = sorted(dict.fromkeys(key for one in apart for key in one), key=lambda key: not key.startswith("learner"))
    choices = [key for key in keys if not all(_is_number(one[key]) for one in apart if key in one)]
    needed = list(keys)
    for key in sorted(keys, key=lambda key: (key.startswith("learner"), key in choices, -keys.index(key))):
        fewer = [other for other in needed if other != key]
        explains = any(other.startswith(f"{key}.") for other in fewer)  # a setting is read beside its choice
        if not explains and len({_label(one, fewer) for one in apart}) == len(configs):
            needed = fewer
    named = [
        _label(one, needed) or f"learner={choice(config.get('learner'))}"
        for one, config in zip(apart, configs, strict=True)
    ]
    return named, [key for key in keys if key not in needed]


class Word:
    """Stands in a config where there is no value, and is said as it is."""

    def __init__(self, said: str) -> None:
        self.said = said

    def __repr__(self) -> str:
        """What is said."""
        return self.said


ABSENT = Word("absent")
"""In the place of a key that a config lacks."""


def _label(apart: Mapping[str, str], keys: Sequence[str]) -> str:
    return " ".join(f"{key}={apart[key]}" for key in keys if key in apart)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _text(value: Any) -> str:
    """A value as it is typed on the command line."""
    if isinstance(value, Mapping):
        return choice(value) if "_target_" in value else str(dict(value))
    if isinstance(value, list | tuple):
        return f"[{','.join(map(_text, value))}]"
    return (
        {None: "null", True: "true", False: "false"}[value] if value is None or isinstance(value, bool) else str(value)
    )
