"""List the kinds of feature, and find those defined outside the package."""

from __future__ import annotations

import importlib
import importlib.util
import inspect
from collections.abc import Callable, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

import polars as pl

from recmeta.features.categorical import categorical
from recmeta.features.kind import Arrays, Kind
from recmeta.features.multi import multi
from recmeta.features.numeric import numeric
from recmeta.features.text import text
from recmeta.features.vector import vector
from recmeta.features.weighted import weighted
from recmeta.types import Field, Interactions, UserError

KINDS = (vector, numeric, multi, categorical, text, weighted)
"""All kinds of recmeta's own, in the order in which they are asked whether a column is of them."""

_BY_NAME = {kind.name: kind for kind in KINDS}


@lru_cache(256)
def kind_of(name: str) -> Kind:
    """Find a kind by its name, or one from outside the package by its dotted name ("mine.angle").

    Raises:
        UserError: there is none, or it is no `Kind`.
    """
    if name in _BY_NAME:
        return _BY_NAME[name]
    if "." not in name:
        raise UserError(f"kind={name}: must be one of {', '.join(sorted(_BY_NAME))}, or one of your own, as mine.angle")
    found = located(name)
    if not isinstance(found, Kind):
        raise UserError(f"kind={name}: is no recmeta.features.kind.Kind")
    return found._replace(name=name)


def arrays_of(field: Field) -> Arrays:
    """Find the encoding, embedding and comparison functions of a field's kind."""
    arrays = kind_of(field.kind).arrays
    assert arrays is not None, field
    return arrays


def names(which: Callable[[Kind], bool]) -> list[str]:
    """List the built-in kinds that a condition holds for, for messages."""
    return sorted(kind.name for kind in KINDS if which(kind))


def inferred(values: pl.Series) -> Kind | None:
    """Infer the kind of a file's column; None if it is of no kind."""
    return next((kind for kind in KINDS if kind.reading.infers(values)), None)


def stored(dtype: pl.DataType) -> Kind:
    """Find the kind of a column of a loader's table by its polars type."""
    found = next((kind for kind in KINDS if kind.reading.stores(dtype)), None)
    if found is None:
        raise UserError(f"a column of {dtype} is of no kind; say its kind (recmeta.datasets.interactions)")
    return found


def sources(data: Interactions) -> list[Path]:
    """List the source files of a data set's kinds from outside the package, which are part of a run's code."""
    columns = (*data.users.features.values(), *data.items.features.values())
    outside = {column.kind for column in columns} - set(_BY_NAME)
    return [Path(inspect.getfile(importlib.import_module(place(name)[0]))) for name in sorted(outside)]


def located(address: str) -> Any:
    """Import an attribute of a module by its dotted name; for a module, the attribute of the same name.

    Raises:
        UserError: there is nothing.
    """
    module, attribute = place(address)
    try:
        return getattr(importlib.import_module(module), attribute)
    except (ImportError, AttributeError) as error:
        raise UserError(f"{address}: cannot be found ({error}); name it as module.name") from error


def address_of(function: Callable[..., Any]) -> str:
    """Return the dotted name by which `located` finds a function.

    Raises:
        UserError: it would not, as it is defined inside another.
    """
    address = f"{function.__module__}.{function.__qualname__}"
    if "<" in address or located(address) is not function:
        raise UserError(f"{address}: must be a function of a module, so that a saved run finds it again")
    return address


def place(address: str) -> Sequence[str]:
    """Split a dotted name into module and attribute."""
    package, _, name = address.rpartition(".")
    try:
        module = importlib.util.find_spec(address) is not None
    except ImportError:  # a parent is no package
        module = False
    return (address, name) if module else (package, name)
