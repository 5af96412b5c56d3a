"""Short labels that distinguish configs, written as on the command line."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

INCIDENTAL = ("name", "output", "force", "reporter", "hydra", "seeds", "metrics", "baselines")
"""Root keys that do not define a method: names, paths, seeds, and the metrics and baselines beside it."""

TRAINING = ("train_shots", "train_query", "validation_draws", "headline", "negatives")
"""Settings of protocol.episodes read by training or model selection alone.

The test tasks do not depend on them, so they distinguish methods, not tables.
"""

SETTINGS_OF_HYDRA = ("_target_", "_partial_", "_convert_", "_recursive_")


def method_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that define a method: equal for runs that belong in one row.

    >>> method_settings({"name": "a", "seeds": [0], "protocol": {"seed": 3, "order": "time"}})
    {'protocol': {'order': 'time'}}
    """
    return {
        key: {name: value for name, value in block.items() if name != "seed"} if key == "protocol" else block
        for key, block in config.items()
        if key not in INCIDENTAL
    }


def table_settings(config: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that define the data and the test: equal for runs that belong in one table.

    >>> config = {"protocol": {"seed": 3, "episodes": {"query": 5, "train_shots": [5]}}, "learner": {}}
    >>> table_settings(config)
    {'dataset': None, 'protocol': {'episodes': {'query': 5}}}
    """
    protocol = dict(method_settings(config).get("protocol") or {})
    if episodes := protocol.get("episodes"):
        protocol["episodes"] = {key: value for key, value in episodes.items() if key not in TRAINING}
    # What error metrics read, the same for all methods of a table; runs of before had no choice.
    point = {"point": config["point"]} if "point" in config else {}
    return {"dataset": config.get("dataset"), "protocol": protocol or None, **point}


def at_key(config: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key; None where there is none.

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


def typed_choice(group: str, config: Mapping[str, Any], overrides: Sequence[str]) -> str:
    """The name of a group's choice as it is typed, or else that of its target, which several choices may share.

    >>> config = {"protocol": {"_target_": "recmeta.protocols.matrix"}}
    >>> typed_choice("protocol", config, ["protocol=item_cold"]), typed_choice("protocol", config, ["seeds=[1]"])
    ('item_cold', 'matrix')
    """
    typed = [value for key, _, value in (text.partition("=") for text in overrides) if key == group]
    return typed[-1] if typed and typed[-1] else choice(config.get(group))


def called(name: str, departs: Mapping[str, str]) -> str:
    """Add to a learner's name, or to a label with it, its departures from the paper of that name, in brackets.

    A setting that the label has is not repeated.

    >>> called("maml", {"learner.adapts": "head"}), called("learner=maml learner.rate=1", {"learner.adapts": "head"})
    ('maml (head)', 'learner=maml (head) learner.rate=1')
    >>> called("learner=maml learner.adapts=head", {"learner.adapts": "head"})
    'learner=maml learner.adapts=head'

    Args:
        name: of a learner, or a label (`labels`). A label without ``learner=`` names no method, and stays.
        departs: from `recmeta.types.Learner.departs`, as ``summary.json`` has it.
    """
    words = name.split(" ")
    said = [text for key, text in departs.items() if not any(word.startswith(f"{key}=") for word in words)]
    place = next((place for place, word in enumerate(words) if word.startswith("learner=")), None)
    if not said or (place is None and "=" in name):
        return name
    place = place or 0
    return " ".join([*words[: place + 1], f"({', '.join(said)})", *words[place + 1 :]])


def row_named(name: str, rows: Iterable[str]) -> str:
    """The row of a name as it is typed: the whole label, or the label without its brackets (`called`).

    >>> row_named("learner=maml", ["learner=maml (head)", "learner=ridge"])
    'learner=maml (head)'

    Returns:
        The row's label; the name itself where no row, or more than one, is meant.
    """
    meant = [row for row in rows if name in (row, BRACKETS.sub("", row))]
    return name if name in meant or len(meant) != 1 else meant[0]


def in_print(label: str, names: Mapping[str, str]) -> str:
    """The name in print of a label; one given for the label without its brackets keeps them.

    >>> names = {"learner=maml": "MAML", "learner=maml (body)": "BOIL"}
    >>> in_print("learner=maml (head)", names), in_print("learner=maml (body)", names), in_print("ridge", names)
    ('MAML (head)', 'BOIL', 'ridge')
    """
    bare = BRACKETS.sub("", label)
    brackets = "".join(BRACKETS.findall(label))
    return names[label] if label in names else f"{names[bare]}{brackets}" if bare in names else label


BRACKETS = re.compile(r"(?<=\S) \([^()]*\)(?= |$)")
"""The brackets of `called`, in a label."""


def tell_apart(values: Sequence[Any], path: str = "") -> list[dict[str, str]]:
    """List, for each of several configs, the settings in which it differs from the others.

    The settings of different choices of a group are not compared, since the choice itself differs. Those of equal
    choices are.

    >>> maml, ridge = {"_target_": "x.maml", "rate": 1}, {"_target_": "x.ridge"}
    >>> tell_apart([{"learner": maml}, {"learner": maml | {"rate": 2}}, {"learner": ridge}])
    [{'learner': 'maml', 'learner.rate': '1'}, {'learner': 'maml', 'learner.rate': '2'}, {'learner': 'ridge'}]

    Args:
        values: plain values, nested mappings as a rule.
        path: dotted key of the values.

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
    """Short labels that distinguish configs by as few settings as possible.

    Args:
        configs: different from each other (`method_settings`).

    Returns:
        The labels, and the settings that also differ but are not needed in them.
    """
    apart = tell_apart(configs)
    # The learner is usually the subject of the study, so its settings are the last to be left out. Within these and
    # within the others numbers go first: a search may have picked them, and a choice is more informative.
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


class Placeholder:
    """Placeholder in a config where there is no value, printed as its text."""

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        """The text itself."""
        return self.text


ABSENT = Placeholder("absent")
"""Placeholder for a key that a config lacks."""


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
