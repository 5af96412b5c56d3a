"""Read files in a folder, a zip, a tar or a gz, without unpacking them to disk."""

from __future__ import annotations

import gzip
import io
import stat
import tarfile
import zipfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path, PureWindowsPath
from typing import IO, NamedTuple

from recmeta.types import UserError

FLOOR, RATIO = 1 << 24, 100
"""An archive may unpack to this many bytes, or to this many times its own size; text compresses 3 to 20 times."""


@dataclass(frozen=True)
class Members:
    """The files of a data set's folder or archive.

    Attributes:
        path: the folder or archive.
        names: the files in it, with ``/`` between folders.
        opener: opens the file of one of these names.
    """

    path: Path
    names: tuple[str, ...]
    opener: Callable[[str], AbstractContextManager[IO[bytes]]]

    def find(self, filename: str) -> str | None:
        """The name that ends in ``filename``, the one in the fewest folders if there are several; None without one."""
        found = [name for name in self.names if f"/{name}".endswith(f"/{filename}")]
        return min(found, key=lambda name: (name.count("/"), name), default=None)

    def has(self, filename: str) -> bool:
        """Whether a file has this name."""
        return self.find(filename) is not None

    @contextmanager
    def open(self, filename: str) -> Iterator[IO[bytes]]:
        """Open a file, to be read piece by piece.

        Raises:
            UserError: no file has that name.
        """
        name = self.find(filename)
        if name is None:
            names = ", ".join(self.names[:8]) or "no files"
            raise UserError(f"{self.path}: no file {filename!r} in it; there are {names}")
        with self.opener(name) as file:
            yield file

    def read(self, filename: str) -> bytes:
        """Read a file completely."""
        with self.open(filename) as file:
            return file.read()


class _Listed(NamedTuple):
    """A file as its archive lists it; ``kind`` is file, folder, link or device."""

    name: str
    size: int
    kind: str


def open_members(path: Path) -> Members:
    """Open a folder, a zip (or wheel), a tar (compressed or not), a gz, or a single plain file.

    Raises:
        UserError: there is no such path; or an archive has a member with a path out of it, a link or a device, or
            unpacks to more than `RATIO` times its size.
    """
    if path.is_dir():
        found = sorted(found.relative_to(path).as_posix() for found in path.rglob("*") if found.is_file())
        names = tuple(name for name in found if not _is_litter(name))
        return Members(path, names, lambda name: (path / name).open("rb"))
    if not path.is_file():
        raise UserError(f"{path}: no such file or folder; a relative path starts at {Path.cwd()}")
    limit = max(FLOOR, RATIO * path.stat().st_size)
    if zipfile.is_zipfile(path):
        return Members(path, _checked(path, _list_zip(path), limit), lambda name: _open_zip(path, name))
    if tarfile.is_tarfile(path):
        return Members(path, _checked(path, _list_tar(path), limit), lambda name: _open_tar(path, name))
    if path.suffix == ".gz":
        return Members(path, (path.stem,), lambda _: _open_gz(path, limit))
    return Members(path, (path.name,), lambda _: path.open("rb"))


def _checked(path: Path, members: Iterable[_Listed], limit: int) -> tuple[str, ...]:
    """Check that all entries are harmless, and return the names of the files.

    A tar is listed lazily, and so no further than its limit.
    """
    names, total = [], 0
    for member in members:
        # Windows' rules cover both slashes, and drives.
        inside = PureWindowsPath(member.name)
        if inside.anchor or ".." in inside.parts:
            raise UserError(f"{path}: member {member.name!r} leads out of the archive; fetch it from another source")
        if member.kind not in ("file", "folder"):
            raise UserError(f"{path}: member {member.name!r} is a {member.kind}; fetch it from another source")
        total += member.size
        if total > limit:
            raise UserError(f"{path}: unpacks to more than {RATIO} times its size; fetch it from another source")
        if member.kind == "file" and not _is_litter(member.name):
            names.append(member.name)
    return tuple(names)


def _is_litter(name: str) -> bool:
    """Whether a file was put there by a Mac's Finder, beside a file of the same name."""
    parts = name.split("/")
    return "__MACOSX" in parts or parts[-1].startswith("._") or parts[-1] == ".DS_Store"


def _list_zip(path: Path) -> Iterator[_Listed]:
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            mode = entry.external_attr >> 16
            kind = "link" if stat.S_ISLNK(mode) else "folder" if entry.is_dir() else "file"
            yield _Listed(entry.filename, entry.file_size, kind)


def _list_tar(path: Path) -> Iterator[_Listed]:
    with tarfile.open(path) as archive:
        for entry in archive:
            link = entry.issym() or entry.islnk()
            kind = "file" if entry.isreg() else "folder" if entry.isdir() else "link" if link else "device"
            yield _Listed(entry.name, entry.size, kind)


@contextmanager
def _open_zip(path: Path, name: str) -> Iterator[IO[bytes]]:
    # zipfile never reads more than the listed size.
    with zipfile.ZipFile(path) as archive, archive.open(name) as file:
        yield file


@contextmanager
def _open_tar(path: Path, name: str) -> Iterator[IO[bytes]]:
    with tarfile.open(path) as archive:
        file = archive.extractfile(name)
        if file is None:
            raise UserError(f"{path}: member {name!r} is no file; fetch it from another source")
        with file:
            yield file


@contextmanager
def _open_gz(path: Path, limit: int) -> Iterator[IO[bytes]]:
    with gzip.open(path) as file, io.BufferedReader(_Bounded(path, file, limit)) as bounded:
        yield bounded


class _Bounded(io.RawIOBase):
    """A stream that fails beyond a number of bytes, since a gz does not state its size."""

    def __init__(self, path: Path, file: gzip.GzipFile, limit: int) -> None:
        self.path, self.file, self.left = path, file, limit

    def readable(self) -> bool:
        """Returns True: the stream can be read."""
        return True

    def readinto(self, buffer: memoryview) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Fill the buffer as far as there are bytes."""
        piece = self.file.read(len(buffer))
        self.left -= len(piece)
        if self.left < 0:
            raise UserError(f"{self.path}: unpacks to more than {RATIO} times its size; fetch it from another source")
        buffer[: len(piece)] = piece
        return len(piece)
