"""Write the help: groups and root settings, or every setting of the chosen components, with meaning and range.

Meanings are the comments in the yamls, and where there is none, the component's docstring.
"""

from __future__ import annotations

import inspect
import re
import types
import typing
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import hydra
import yaml
from annotated_types import Ge, Gt, Le, Lt
from hydra.core.global_hydra import GlobalHydra
from omegaconf import OmegaConf

from recmeta.config import schema, versions
from recmeta.config.components import OPTIMIZER_RANGES, located
from recmeta.config.values import is_block
from recmeta.features.kinds import located as found_at
from recmeta.results.screen import fold_beside

COLUMN = 34
"""Where meanings begin."""

EXAMPLES = {
    "python -m recmeta": "ML-100K, new users, MAML, the baselines, a table",
    "python -m recmeta learner=reptile encoder=gru seeds=[0,1,2]": "another learner and encoder, three seeds",
    "python -m recmeta -m learner=maml,ridge name=two": "a sweep; then: python -m recmeta.results outputs/two",
    "python -m recmeta dataset=table dataset.interactions=my.csv": "your own data",
    "python -m recmeta learner=maml --help": "the settings of a learner, with meaning and range",
}

FLAGS = {
    "-m": "a sweep: settings may have several values, as learner=maml,ridge",
    "--cfg job": "print the config as it is composed, and run nothing",
    "--version": "versions of recmeta and of what its numbers depend on",
    "-sc install=bash": 'completion of groups and settings with Tab: eval "$(recmeta -sc install=bash)"; zsh, fish too',
    "--hydra-help": "Hydra's own flags",
}


def page(typed: Sequence[str], width: int) -> Iterator[str]:
    """Yield the lines of the help.

    Args:
        typed: overrides; the settings of the groups that they name are explained. Without any, all groups.
        width: columns of the terminal.

    Raises:
        HydraException, OmegaConfBaseException: as composing raises, where an override is wrong.
    """
    config, choices = composed(typed)
    named = dict.fromkeys(re.split(r"[.@=]", text.lstrip("+~"))[0] for text in typed)
    groups = [group for group in named if group in schema.GROUPS]
    if groups:
        for group in groups:
            yield from _group(group, str(choices.get(group)), config[group], width)
            yield ""
        yield "other groups: GROUP=CHOICE --help, as protocol=user_cold; all groups: --help"
        return
    meanings = comments(schema.CONF / "config.yaml")
    yield "recmeta: experiments in cold-start recommendation, from a config to a table with a verdict"
    yield ""
    for line, meaning in EXAMPLES.items():
        yield from _entry(line, meaning, width)
    yield ""
    yield "Groups: GROUP=CHOICE; GROUP=CHOICE --help explains the settings of a choice"
    for group in (*schema.GROUPS, "experiment"):
        text = ", ".join(schema.choices(group))
        meaning = meanings.get(f"defaults.{group}", "")
        yield from _entry(f"  {group}={_shown(choices.get(group))}", f"{meaning}: {text}" if meaning else text, width)
    yield ""
    yield "Settings: KEY=VALUE"
    for key, value in config.items():
        if key not in schema.GROUPS:
            yield from _entry(f"  {key}={_shown(value)}", meanings.get(key, ""), width)
    yield ""
    yield "Flags"
    for flag, meaning in FLAGS.items():
        yield from _entry(f"  {flag}", meaning, width)


def composed(typed: Sequence[str]) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Compose the config of some overrides. Returns it as plain values, and the choice of each group."""
    schema.register()
    GlobalHydra.instance().clear()
    with hydra.initialize_config_dir(str(schema.CONF), **versions.BASE):
        config = hydra.compose("config", overrides=list(typed), return_hydra_config=True)
    choices: Any = OmegaConf.to_container(config.hydra.runtime.choices)
    plain: Any = OmegaConf.to_container(OmegaConf.masked_copy(config, [str(key) for key in config if key != "hydra"]))
    return plain, choices


def _group(group: str, choice: str, block: Mapping[str, Any], width: int) -> Iterator[str]:
    """The settings of a group's choice."""
    path = schema.CONF / group / f"{choice}.yaml"
    yield f"{group}={choice}"
    for line in heading(path):
        yield f"  {line}"
    meanings = comments(path)
    target = block.get("_target_")
    if target is None:
        return
    function = found_at(located(str(target)))
    documented, hints = arguments(function), dict(OPTIMIZER_RANGES) if group == "optimizer" else {}
    hints = {**_hints(function), **hints}
    for key, value, hint, meaning in settings(block, hints, documented):
        text = _ranged(meanings.get(key) or meaning, described(hint))
        yield from _entry(f"  {group}.{key}={_shown(value)}", text, width)


def _ranged(meaning: str, allowed: str) -> str:
    """A meaning, and behind it the allowed values that it does not name itself.

    >>> _ranged("their size", "above 0"), _ranged("head | body: what adapts", "head | body")
    ('their size [above 0]', 'head | body: what adapts')
    """
    if allowed == "true | false" or all(word in meaning for word in allowed.split(" | ")):
        return meaning or allowed
    if "null:" in meaning:
        allowed = allowed.removesuffix("; or null")
    return f"{meaning} [{allowed}]".lstrip()


def settings(
    block: Mapping[str, Any], hints: Mapping[str, Any], documented: Mapping[str, str], before: str = ""
) -> Iterator[tuple[str, Any, Any, str]]:
    """Yield ``(dotted key, value, annotation, meaning)`` of a block's settings, at any depth.

    Args:
        block: of the config.
        hints: annotations of its settings.
        documented: their meanings in the docstring.
        before: the dotted key of the block.
    """
    for key, value in block.items():
        if key.startswith("_"):
            continue
        hint = hints.get(key)
        inner = _class(hint)
        if isinstance(value, Mapping) and value and inner is not None:
            yield from settings(value, _hints(inner), arguments(inner), f"{before}{key}.")
        else:
            yield f"{before}{key}", value, hint, documented.get(key, "")


def comments(path: Path) -> dict[str, str]:
    """Read the comments behind the settings of a yaml, by dotted key, with those of the yamls that it includes.

    A setting of the defaults list is ``defaults.KEY``.
    """
    if not path.exists():
        return {}
    text = path.read_text(encoding="utf-8")
    found: dict[str, str] = {}
    for entry in (yaml.safe_load(text) or {}).get("defaults", []):
        if isinstance(entry, str) and "@" in entry:
            name, _, package = entry.partition("@")
            where = schema.CONF / name.lstrip("/") if name.startswith("/") else path.parent / name
            found |= {f"{package}.{key}": meaning for key, meaning in comments(where.with_suffix(".yaml")).items()}
    parents: list[tuple[int, str]] = []
    for line in text.splitlines():
        match = re.match(r"^(\s*)(?:- )?([\w]+):(?:[^#'\"]|'[^']*'|\"[^\"]*\")*?(?:\s#\s*(.*))?$", line)
        if match is None:
            if (alone := re.match(r"^\s+#\s*(.*)$", line)) and parents:
                key = ".".join(name for _, name in parents)
                found[key] = f"{found.get(key, '')} {alone[1]}".strip()
            continue
        indent = len(match[1])
        parents = [*((at, name) for at, name in parents if at < indent), (indent, match[2])]
        if match[3]:
            found[".".join(name for _, name in parents)] = match[3].strip()
    return found


def heading(path: Path) -> list[str]:
    """The comment lines that a yaml begins with."""
    lines = path.read_text(encoding="utf-8").splitlines() if path.exists() else []
    end = next((at for at, line in enumerate(lines) if not line.startswith("#")), len(lines))
    return [line.lstrip("# ").rstrip() if not line.startswith("#  ") else line[1:].rstrip() for line in lines[:end]]


def arguments(function: Any) -> dict[str, str]:
    """The meanings of arguments, or of a class's attributes, in a docstring."""
    text = inspect.getdoc(function) or ""
    section = re.search(r"^(?:Args|Attributes):\n((?:    .*\n?|\n)+)", text, re.MULTILINE)
    found: dict[str, str] = {}
    for names, meaning in re.findall(
        r"^    ([\w, ]+): ((?:.|\n(?=     ))+)", section[1] if section else "", re.MULTILINE
    ):
        for name in names.split(", "):
            found[name] = " ".join(meaning.split()).rstrip(".")
    return found


def described(hint: Any) -> str:
    """The values that an annotation allows, in words; "" for any value.

    >>> from typing import Annotated, Literal
    >>> described(Annotated[float, Gt(0)]), described(Annotated[int, Ge(0)] | None), described(Literal["a", "b"])
    ('above 0', 'a whole number, 0 or more; or null', 'a | b')
    """
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if origin is typing.Literal:
        return " | ".join(map(str, inner))
    if origin in (typing.Union, types.UnionType):
        parts = list(dict.fromkeys(text for each in inner if (text := described(each)) and each is not type(None)))
        return "; or ".join([*parts, *(["null"] if type(None) in inner and parts else [])])
    if origin in (tuple, list) or getattr(origin, "__name__", "") == "Sequence":
        one = described(next((each for each in inner if each is not Ellipsis), None))
        return f"a list, each {one}" if one else "a list"
    if origin is typing.Annotated:
        words = {Gt: "above {}", Ge: "{} or more", Lt: "below {}", Le: "{} at most"}
        marks = [words[type(mark)].format(f"{_bound(mark):g}") for mark in inner[1:] if type(mark) in words]
        kind = described(inner[0])
        return ", ".join([*([kind] if kind else []), *marks])
    return {int: "a whole number", bool: "true | false"}.get(hint, "")


def _bound(mark: Any) -> float:
    """The number of a range's mark."""
    return next(getattr(mark, name) for name in ("gt", "ge", "lt", "le") if hasattr(mark, name))


def _class(hint: Any) -> Any:
    """The class of settings that a block becomes, if its annotation names one."""
    return next((each for each in (hint, *typing.get_args(hint)) if is_block(each)), None)


def _hints(function: Any) -> dict[str, Any]:
    try:
        return typing.get_type_hints(function, include_extras=True)
    except (NameError, TypeError):  # another package's
        return {}


def _shown(value: Any) -> str:
    """A value as it is typed."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_shown(inner)}" for key, inner in value.items()) + "}"
    return f"[{','.join(map(_shown, value))}]" if isinstance(value, list) else str(value)


def _entry(setting: str, meaning: str, width: int) -> list[str]:
    """A setting with its meaning beside it, or below where there is no room."""
    return fold_beside(setting, meaning, COLUMN, width)
