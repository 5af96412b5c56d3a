"""Registry entries of public data sets, and the one way from their files to `Interactions`."""

from __future__ import annotations

import gzip
import os
import tarfile
import zipfile
import zlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recmeta.datasets.archive import Members, open_members
from recmeta.datasets.fetch import fetch
from recmeta.datasets.interactions import make_interactions
from recmeta.datasets.relations import Edges
from recmeta.datasets.sources import Source
from recmeta.features.text import text
from recmeta.types import Interactions, UserError

PathLike = str | os.PathLike[str] | None
"""Type of a loader's ``path``: the user's own copy, an archive or a folder; None for the cached one."""


@dataclass(frozen=True)
class Entry:
    """Description of a data set.

    Attributes:
        name: the value of ``dataset=``.
        version: of the data.
        summary: one line.
        licence, citation: "" where there is none.
        sources: in the order in which they are tried; empty where nothing is fetched.
        page: its makers' description.
        published: count → its published value, for counts that a loader reports.
        load: loads the Interactions with default settings; None where it needs the user's files.
    """

    name: str
    version: str
    summary: str
    licence: str = ""
    citation: str = ""
    sources: tuple[Source, ...] = ()
    page: str = ""
    published: Mapping[str, int] = field(default_factory=dict)
    load: Callable[[], Interactions] | None = None


class Tables(NamedTuple):
    """Tables made of a data set's files, the input of `make_interactions`.

    Attributes:
        rows: ``user``, ``item``, ``label`` and optionally ``time``.
        users, items: features, the id first; None where there are none.
        dropped: kind of rows left out of ``rows`` → their number.
        notes: lines for the user.
        texts: the columns of ``users`` and ``items`` that are free text.
        relations: name → edges by raw ids.
    """

    rows: pl.DataFrame
    users: pl.DataFrame | None = None
    items: pl.DataFrame | None = None
    dropped: Mapping[str, int] = {}
    notes: Sequence[str] = ()
    texts: Sequence[str] = ()
    relations: Mapping[str, Edges] = {}


def load(
    entry: Entry,
    path: PathLike,
    read: Callable[[Members], Tables],
    *,
    label_range: tuple[float, float],
    like: float,
) -> Interactions:
    """Load a public data set's interactions, fetched at the first call and read from the cache after it.

    Args:
        entry: the data set.
        path: the user's own copy, an archive or a folder, in place of every source; None to fetch or use the cache.
        read: makes tables of its files.
        label_range: the lowest and highest label possible.
        like: the label from which a row counts as liked.

    Raises:
        UserError: no source delivers and nothing is cached; a file is damaged, missing, or not in its format; ``like``
            is out of range.
    """
    place, notes = (Path(path).expanduser(), []) if path is not None else obtain(entry)
    tables = read_members(entry.name, place, read)
    check_rows(entry.name, place, tables.rows, label_range)
    return make_interactions(
        entry.name,
        tables.rows,
        label_range=label_range,
        like=like,
        users=tables.users,
        items=tables.items,
        kinds={side: dict.fromkeys(tables.texts, (text.name, {})) for side in ("user", "item")},
        dropped=tables.dropped,
        notes=[*notes, *tables.notes],
        relations=tables.relations,
    )


def check_rows(name: str, place: Path, rows: pl.DataFrame, label_range: tuple[float, float]) -> None:
    """Refuse rows that lack a value or whose label is out of range: signs of another file.

    Raises:
        UserError: a row is incomplete or its label out of range.
    """
    complete = pl.all_horizontal(pl.all().is_not_null()) & pl.col("label").is_between(*label_range)
    odd = rows.filter(~complete)
    if not odd.is_empty():
        first = ", ".join(f"{column} {value}" for column, value in odd.row(0, named=True).items())
        low, high = label_range
        raise UserError(
            f"{place}: {len(odd)} rows of {name} lack a value or have a label outside {low:g} to {high:g}, the first: "
            f"{first}; give the files as they were published"
        )


def obtain(entry: Entry) -> tuple[Path, list[str]]:
    """Fetch the data set's file; returns its path and notes on its licence and checksum.

    Raises:
        UserError: no source delivers and nothing is cached, or the cached file is damaged.
    """
    found = fetch(entry.name, entry.sources)
    notes = [f"{entry.name} was fetched from {found.source.label}. {entry.licence}"] if found.fresh else []
    return found.path, notes + ([pinned_note(entry.name, found.path)] if found.pinned else [])


def pinned_note(name: str, path: Path) -> str:
    """A note that a file's sha256 could not be checked and is recorded."""
    return (
        f"{name}: no sha256 is published for {path.name}: it is used unchecked, and its sha256 is recorded beside it; "
        "later copies must match it"
    )


def read_members(name: str, path: Path, read: Callable[[Members], Tables]) -> Tables:
    """Read files that must be in their published format.

    Args:
        name: the data set, for messages.
        path: a folder, an archive, or a single file.
        read: makes tables of its files.

    Raises:
        UserError: they are in another format, or `open_members` refuses them.
    """
    try:
        return read(open_members(path))
    except (pl.exceptions.PolarsError, UnicodeDecodeError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise UserError(f"{path}: not {name} as it is published ({str(error).splitlines()[0]})") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: the file is cut off or damaged ({error}); fetch it again") from error
