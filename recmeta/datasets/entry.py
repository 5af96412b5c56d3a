"""A public data set, described; and the one way from its files to `Interactions`."""

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
from recmeta.datasets.sources import Source
from recmeta.types import Interactions, UserError

PathLike = str | os.PathLike[str] | None
"""What a loader takes as ``path``: the user's own copy, an archive or a folder; None for the cached one."""


@dataclass(frozen=True)
class Entry:
    """A data set, described.

    Attributes:
        name: what ``dataset=`` takes.
        version: of the data.
        summary: one line.
        licence, citation: "" where there is none.
        sources: in the order in which they are tried; none where nothing is fetched.
        page: where its makers describe it.
        published: count → what its makers say it is, of the counts that a loader reports.
        load: makes the Interactions with default settings; None where it needs the user's files.
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
    """What a reader makes of the files, as `make_interactions` takes it.

    Attributes:
        rows: ``user``, ``item``, ``label`` and optionally ``time``.
        users, items: features, the id first; None where there are none.
        dropped: what was left out of ``rows`` → how many.
        notes: lines for the user.
    """

    rows: pl.DataFrame
    users: pl.DataFrame | None = None
    items: pl.DataFrame | None = None
    dropped: Mapping[str, int] = {}
    notes: Sequence[str] = ()


def load(
    entry: Entry,
    path: PathLike,
    read: Callable[[Members], Tables],
    *,
    label_range: tuple[float, float],
    like: float,
) -> Interactions:
    """Interactions of a public data set, fetched at the first call and read from the cache after it.

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
        dropped=tables.dropped,
        notes=[*notes, *tables.notes],
    )


def check_rows(name: str, place: Path, rows: pl.DataFrame, label_range: tuple[float, float]) -> None:
    """Checks that every row is whole, its label within the range: one that is not says that this is another file.

    Raises:
        UserError: one is not.
    """
    whole = pl.all_horizontal(pl.all().is_not_null()) & pl.col("label").is_between(*label_range)
    odd = rows.filter(~whole)
    if not odd.is_empty():
        shown = ", ".join(f"{column} {value}" for column, value in odd.row(0, named=True).items())
        low, high = label_range
        raise UserError(
            f"{place}: {len(odd)} rows of {name} lack a value or have a label outside {low:g} to {high:g}, the first: "
            f"{shown}; give the files as they were published"
        )


def obtain(entry: Entry) -> tuple[Path, list[str]]:
    """The data set's file, and what the user must know of how it came: its licence, and whether it was checked.

    Raises:
        UserError: no source delivers and nothing is cached, or the cached file is damaged.
    """
    found = fetch(entry.name, entry.sources)
    notes = [f"{entry.name} was fetched from {found.source.label}. {entry.licence}"] if found.fresh else []
    return found.path, notes + ([pinned_note(entry.name, found.path)] if found.pinned else [])


def pinned_note(name: str, path: Path) -> str:
    """Says that a file was taken as it is."""
    return (
        f"{name}: no sha256 is published for {path.name}: it was taken as it is, and its sha256 is kept beside it; "
        "from now on the file must have it"
    )


def read_members(name: str, path: Path, read: Callable[[Members], Tables]) -> Tables:
    """Reads files that must be in the format they are published in.

    Args:
        name: what they are, for messages.
        path: a folder, an archive, or a single file.
        read: makes tables of its files.

    Raises:
        UserError: they are not, or `open_members` refuses.
    """
    try:
        return read(open_members(path))
    except (pl.exceptions.PolarsError, UnicodeDecodeError, zipfile.BadZipFile, tarfile.TarError) as error:
        raise UserError(f"{path}: not {name} as it is published ({str(error).splitlines()[0]})") from error
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise UserError(f"{path}: the file is cut off or damaged ({error}); fetch it again") from error
