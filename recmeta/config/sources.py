"""Find the source files of components that are not recmeta's: an edit to one makes another run."""

from __future__ import annotations

import ast
import importlib.util
import site
import sysconfig
from collections.abc import Iterator, Mapping
from functools import lru_cache
from importlib.machinery import ModuleSpec
from pathlib import Path
from typing import Any

from recmeta.runs.hashing import WITHOUT_EFFECT

OURS = ("recmeta", "jax", "jaxlib", "flax", "optax")
"""Packages whose versions are recorded, or whose code is hashed as a whole."""


def component_files(config: Mapping[str, Any]) -> dict[str, Path]:
    """The source files of all targets of a config that are not recmeta's, JAX's, Flax's or Optax's.

    Beside the file of a target stand those that it imports, and these in turn, as far as they are in no library folder.
    Reporters have no part in it: they change no number.

    Args:
        config: resolved, as plain values.

    Returns:
        File by its place in the packages that it is imported from: ``{"mine/metrics.py": Path(...)}``.
    """
    effective = {key: value for key, value in config.items() if key not in WITHOUT_EFFECT}
    found: dict[str, Path] = {}
    for target in sorted(set(_targets(effective))):
        if target.partition(".")[0] not in OURS and (module := _module(target)):
            found |= _with_imports(module.name)
    return dict(sorted(found.items()))


def _targets(value: Any) -> Iterator[str]:
    """Every ``_target_`` in a config, however deep."""
    if isinstance(value, Mapping):
        if isinstance(value.get("_target_"), str):
            yield value["_target_"]
        for inner in value.values():
            yield from _targets(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _targets(inner)


@lru_cache(256)
def _with_imports(module: str) -> Mapping[str, Path]:
    """A module's file, and those of its imports that are in no library folder."""
    found: dict[str, Path] = {}
    left = [module]
    while left:
        spec = _spec(left.pop())
        if spec is None or spec.origin is None or not spec.origin.endswith(".py") or _place(spec) in found:
            continue
        found[_place(spec)] = Path(spec.origin)
        left += [name for name in _imports(spec) if name.partition(".")[0] not in OURS and not _in_library(name)]
    return found


def _place(spec: ModuleSpec) -> str:
    inside = "/__init__" if spec.submodule_search_locations is not None else ""
    return f"{spec.name.replace('.', '/')}{inside}.py"


def _imports(spec: ModuleSpec) -> Iterator[str]:
    """The modules that a module's file imports, anywhere in it."""
    assert spec.origin is not None
    try:
        tree = ast.parse(Path(spec.origin).read_bytes())
    except (OSError, SyntaxError):
        return
    package = spec.name if spec.submodule_search_locations is not None else spec.name.rpartition(".")[0]
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package.split(".")[: len(package.split(".")) - (node.level - 1)] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _in_library(module: str) -> bool:
    """Whether a module lies where Python or its packages are installed, or has no file."""
    spec = _spec(module)
    if spec is None or spec.origin is None or not Path(spec.origin).exists():
        return True
    return any(Path(spec.origin).resolve().is_relative_to(folder) for folder in _libraries())


@lru_cache(1)
def _libraries() -> frozenset[Path]:
    known = {sysconfig.get_paths()[name] for name in ("stdlib", "platstdlib", "purelib", "platlib")}
    return frozenset(Path(folder).resolve() for folder in (*known, *site.getsitepackages(), site.getusersitepackages()))


def _module(target: str) -> ModuleSpec | None:
    """The module that a target is in, or is: the longest part of its name that is one."""
    parts = target.split(".")
    found = (_spec(".".join(parts[:length])) for length in range(len(parts), 0, -1))
    return next((spec for spec in found if spec is not None), None)


def _spec(module: str) -> ModuleSpec | None:
    """Find a module's spec; None where there is none. Its parents are imported, as the component itself was."""
    try:
        return importlib.util.find_spec(module)
    except (ImportError, ValueError, AttributeError):
        return None
