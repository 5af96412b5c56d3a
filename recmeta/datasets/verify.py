"""Checksums: the published one, or the one taken down when a file was first seen."""

from __future__ import annotations

import hashlib
from pathlib import Path

from recmeta.datasets.sources import Archive, Source
from recmeta.types import UserError


def verify(path: Path, sha256: str) -> None:
    """Checks a file's sha256.

    Raises:
        UserError: it differs.
    """
    found = _digest(path, "sha256")
    if found != sha256:
        raise UserError(f"{path}: sha256 is {found}, not {sha256}: the file is damaged; delete it and fetch it again")


def pin_path(path: Path) -> Path:
    """Where the sha256 of a file is kept that had none when it was first seen; ``sha256sum -c`` reads it."""
    return path.with_name(f"{path.name}.sha256")


def approve(path: Path, source: Source, pin: Path) -> bool:
    """Checks a file against all that is known of it; where that is no sha256, takes it down for the next time.

    Args:
        path: the file.
        source: what should be known of it.
        pin: where a sha256 that is taken down is kept.

    Returns:
        Whether the sha256 was taken down just now, so that nothing but a published md5, if any, vouches for the file.

    Raises:
        UserError: a checksum differs.
    """
    md5 = source.md5 if isinstance(source, Archive) else None
    if md5 and (found := _digest(path, "md5")) != md5:
        raise UserError(f"{path}: md5 is {found}, not {md5}: the file is damaged; delete it and fetch it again")
    known = source.sha256 or pinned(pin)
    if known:
        verify(path, known)
        return False
    pin.write_text(f"{_digest(path, 'sha256')}  {source.filename}\n", encoding="utf-8")
    return True


def pinned(pin: Path) -> str | None:
    """The sha256 that was taken down, or None.

    Raises:
        UserError: the file is there but holds none.
    """
    if not pin.is_file():
        return None
    known = pin.read_text(encoding="utf-8").partition(" ")[0]
    if len(known) != 64:
        raise UserError(f"{pin}: must be a sha256, two spaces and a name; delete it to take the sha256 down again")
    return known


def agrees(path: Path, source: Archive) -> bool:
    """Whether a file has the published checksum."""
    return _digest(path, "sha256") == source.sha256 if source.sha256 else _digest(path, "md5") == source.md5


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
