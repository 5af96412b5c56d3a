"""``python -m recmeta.datasets list | get NAME | describe NAME | describe FILE SETTING=... | verify [NAME]``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from recmeta.datasets.description import described
from recmeta.datasets.entry import pinned_note
from recmeta.datasets.fetch import cache_directory, cached, fetch, sha256_of
from recmeta.datasets.named import load_typed
from recmeta.datasets.registry import DATASETS, Entry, lookup
from recmeta.datasets.sources import checksum
from recmeta.types import Interactions, UserError

_TYPED = "a data set of the list; or your file of interactions and settings, as items=movies.csv columns.label=stars"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; the exit code is 0, or 2 where the user can put it right."""
    parser = argparse.ArgumentParser(prog="recmeta-data", description="Fetches, describes and verifies data sets.")
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="the data sets there are")
    commands.add_parser("get", help="fetch into the cache").add_argument("name")
    describe = commands.add_parser("describe", help="a data set's sources and counts, or your own files")
    describe.add_argument("typed", nargs="+", metavar="NAME | FILE | SETTING=VALUE", help=_TYPED)
    commands.add_parser("verify", help="hash the cached files again").add_argument("name", nargs="?")
    given = parser.parse_args(arguments)
    console = Console(soft_wrap=True, highlight=False, markup=False)
    try:
        if given.command == "list":
            _list(console)
        elif given.command == "get":
            _get(console, lookup(given.name))
        elif given.command == "describe":
            _describe(console, given.typed)
        else:
            _verify(console, given.name)
    except UserError as error:
        print(f"recmeta-data: {error}", file=sys.stderr)
        return 2
    return 0


def _list(console: Console) -> None:
    listing = Table("name", "version", "cached", "summary", box=None, pad_edge=False)
    for entry in DATASETS.values():
        listing.add_row(entry.name, entry.version, _state(entry), entry.summary)
    console.print(listing)


def _get(console: Console, entry: Entry) -> None:
    if not entry.sources:
        console.print(f"{entry.name}: nothing to fetch")
        return
    found = fetch(entry.name, entry.sources)
    console.print(f"{entry.name}: {'fetched from' if found.fresh else 'cached, from'} {found.source.label}")
    console.print(f"file     {found.path}")
    console.print(f"sha256   {sha256_of(found)}")
    if found.pinned:
        console.print(f"note     {pinned_note(entry.name, found.path)}")
    console.print(f"licence  {entry.licence}")


def _describe(console: Console, typed: Sequence[str]) -> None:
    """Describe a data set of the registry by its name, or the user's own files."""
    (first, *others) = typed
    if others or "=" in first or _is_file(first):
        data = load_typed(typed)
        console.print(f"{data.name}: {data.counts['rows']:,} rows are read")
        _show(console, data, {})
    else:
        _describe_entry(console, lookup(first))


def _is_file(name: str) -> bool:
    """Whether a name looks like that of a file, and is no data set's."""
    return name not in DATASETS and (Path(name).exists() or "." in name or "/" in name)


def _describe_entry(console: Console, entry: Entry) -> None:
    console.print(f"{entry.name} {entry.version}: {entry.summary}")
    if entry.page:
        console.print(f"page     {entry.page}")
    for source in entry.sources:
        size = f"{source.size:,} bytes, " if source.size else ""
        console.print(f"source   {source.label}: {source.filename}, {size}{checksum(source)}")
    if entry.sources:
        console.print(f"source   your own copy: dataset={entry.name} dataset.path=PATH")
    if entry.licence:
        console.print(f"licence  {entry.licence}")
    if entry.citation:
        console.print(f"cite     {entry.citation}")
    # A description fetches nothing: what is not cached is not counted.
    if entry.load is None or _state(entry) == "no":
        for count, value in entry.published.items():
            console.print(f"publish  {count}: {value:,}")
        return
    _show(console, entry.load(), entry.published)


def _show(console: Console, data: Interactions, expected: Mapping[str, int]) -> None:
    """Print counts, with those that were expected where they differ, and the description."""
    for count, value in data.counts.items():
        published = expected.get(count, value)
        odd = "" if published == value else f", but {published:,} are published"
        console.print(f"count    {count.replace('_', ' ')}: {value:,}{odd}")
    for heading, said in described(data):
        console.print(f"{heading:<8} {said}")
    for metric, value in (data.attainable or {}).items():
        console.print(f"best     {metric}: {value:.4f}")
    console.print(f"data     sha256 {data.sha256}")


def _verify(console: Console, name: str | None) -> None:
    entries = [lookup(name)] if name else [entry for entry in DATASETS.values() if _state(entry) == "yes"]
    if not entries:
        console.print("nothing is cached")
    for entry in entries:
        if not entry.sources:
            console.print(f"{entry.name}: nothing to verify")
            continue
        found = cached(entry.name, entry.sources)
        if found is None:
            place = cache_directory(entry.name)
            raise UserError(f"{entry.name} is not cached in {place}; fetch it with: recmeta-data get {entry.name}")
        said = pinned_note(entry.name, found.path) if found.pinned else f"{entry.name}: {found.path} is intact"
        console.print(f"{said}, sha256 {sha256_of(found)}")


def _state(entry: Entry) -> str:
    """Report if the data set's file is in the cache: yes, no, or - if there is none to cache."""
    if not entry.sources:
        return "-"
    place = cache_directory(entry.name)
    return "yes" if any((place / source.filename).is_file() for source in entry.sources) else "no"


if __name__ == "__main__":
    sys.exit(main())
