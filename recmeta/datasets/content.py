"""Read a file's bytes, also out of gz, bz2, xz and zip, and decode text."""

from __future__ import annotations

import bz2
import gzip
import io
import lzma
import zipfile
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import IO, Any, NamedTuple

import polars as pl

from recmeta.datasets.archive import Members, open_members
from recmeta.types import UserError

PACKED: dict[str, Callable[..., IO[Any]]] = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}
"""Suffixes of single compressed files, and how they are opened."""

NO_DATA = {
    b"<!doctype html": "a web page, not a table; fetch the file itself",
    b"<html": "a web page, not a table; fetch the file itself",
    b"version https://git-lfs": "a Git LFS pointer, not the file; fetch the file itself, as by git lfs pull",
}
"""Beginnings of files that stand in place of data."""

BLOCK = 1 << 22
"""About so many bytes of text are split into lines at a time, which bounds the memory that it takes."""


class Content(NamedTuple):
    """Bytes of a file, and the suffix of its kind."""

    data: bytes
    suffix: str


def read_content(path: Path) -> Content:
    """Read a file; compressed ones are unpacked in memory.

    A path may lead into a zip: ``ml-latest-small.zip/ml-latest-small/ratings.csv``.

    Raises:
        UserError: there is no such file, it is a folder, cannot be read or is damaged, or a zip holds several.
    """
    path = path.expanduser()
    try:
        archive = next((parent for parent in path.parents if parent.suffix.lower() == ".zip"), None)
        if archive is not None and archive.is_file():
            return _of_zip(archive, path.relative_to(archive).as_posix())
        _check_file(path)
        suffix = path.suffix.lower()
        if suffix == ".zip":
            return _of_zip(path, None)
        if suffix in PACKED:
            with PACKED[suffix](path) as file:
                return Content(file.read(), Path(path.stem).suffix.lower())
        return Content(path.read_bytes(), suffix)
    except (zipfile.BadZipFile, lzma.LZMAError, EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise UserError(f"{path}: the file is cut off or damaged ({error})") from error
    except OSError as error:
        raise UserError(f"{path}: cannot be read ({error.strerror or error})") from error


def _check_file(path: Path) -> None:
    if path.is_dir():
        names = sorted(found.name for found in path.iterdir() if found.is_file())
        there = (
            f"name a file in it: {', '.join(names[:8])}{', ...' if len(names) > 8 else ''}" if names else "it is empty"
        )
        raise UserError(f"{path}: is a folder, not a file; {there}")
    if not path.is_file():
        raise UserError(f"{path}: no such file; a relative path starts at {Path.cwd()}")


def _of_zip(path: Path, inside: str | None) -> Content:
    """Read one file of a zip; without a name, the only one."""
    if not zipfile.is_zipfile(path):
        raise UserError(f"{path}: not a zip, or damaged")
    members = open_members(path)
    # Macs put a second file of attributes beside each.
    names = [name for name in members.names if not name.startswith("__MACOSX/") and not Path(name).name.startswith(".")]
    if inside is None and len(names) == 1:
        inside = names[0]
    if inside not in names:
        listed = ", ".join(names[:8]) + (", ..." if len(names) > 8 else "")
        problem = f"no file {inside!r} in it" if inside is not None else f"holds {len(names)} files"
        raise UserError(f"{path}: {problem}; name one as {path}/FILE: {listed or 'it has none'}")
    data, suffix = _exactly(members, inside), Path(inside).suffix.lower()
    if suffix not in PACKED:
        return Content(data, suffix)
    with PACKED[suffix](io.BytesIO(data)) as file:
        return Content(file.read(), Path(Path(inside).stem).suffix.lower())


def _exactly(members: Members, name: str) -> bytes:
    with members.opener(name) as file:
        return file.read()


def lines_of(path: Path, data: bytes, encoding: str | None) -> pl.Series:
    """Decode text into its lines, blank ones too, without line ends and the mark that spreadsheets put first.

    Raises:
        UserError: the bytes are not in this encoding, with the line.
    """
    if encoding is None and data[:2] in (b"\xff\xfe", b"\xfe\xff"):
        encoding = "utf-16"
    if encoding is not None and encoding.lower().replace("_", "-") not in ("utf-8", "utf8", "utf-8-sig"):
        try:
            data = data.decode(encoding).encode()
        except UnicodeDecodeError as error:
            raise UserError(f"{path}: not text in dataset.encoding={encoding} ({error.reason})") from error
    data = data.removeprefix(b"\xef\xbb\xbf")
    for start, found in NO_DATA.items():
        if data[:64].lstrip().lower().startswith(start):
            raise UserError(f"{path}: {found}")
    if b"\0" in data:
        line = data[: data.index(b"\0")].count(b"\n") + 1
        raise UserError(
            f"{path}, line {line}: not text; save it as CSV in UTF-8, or set dataset.encoding, such as utf-16"
        )
    if b"\r" in data:
        data = data.replace(b"\r\n", b"\n") if b"\n" in data else data.replace(b"\r", b"\n")
    try:
        return pl.concat([_split(block) for block in _blocks(data)], rechunk=False)
    except pl.exceptions.PolarsError:
        raise UserError(_not_utf8(path, data)) from None


def _split(block: bytes) -> pl.Series:
    text = pl.Series("text", [block], dtype=pl.Binary).cast(pl.String)
    return text.str.split("\n").explode(empty_as_null=True).fill_null("")


def _not_utf8(path: Path, data: bytes) -> str:
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data[: error.start].count(b"\n") + 1
        return (
            f"{path}, line {line}: not UTF-8 text; save the file as UTF-8, or set dataset.encoding, such as latin-1 or "
            "cp1252"
        )
    return f"{path}: not UTF-8 text"


def _blocks(data: bytes) -> Iterator[bytes]:
    """Cut at line ends, so that the blocks joined by line ends are the whole."""
    start = 0
    while len(data) - start > BLOCK and (end := data.find(b"\n", start + BLOCK)) >= 0:
        yield data[start:end]
        start = end + 1
    yield data[start:]
