"""Verify checksums: the published one, or the one recorded when a file was first seen."""

from __future__ import annotations

import hashlib
from pathlib import Path

from recmeta.datasets.sources import Archive, Source
from recmeta.types import UserError


def verify(path: Path, sha256: str) -> None:
    """Check a file's sha256.

    Raises:
        UserError: it differs.
    """
    found = _digest(path, "sha256")
    if found != sha256:
        raise UserError(f"{path}: sha256 is {found}, not {sha256}: the file is damaged; delete it and fetch it again")


def pin_path(path: Path) -> Path:
    """Path of the recorded sha256 of a file without a published one, in the format of ``sha256sum -c``."""
    return path.with_name(f"{path.name}.sha256")


def approve(path: Path, source: Source, pin: Path) -> bool:
    """Check a file against all known checksums; without a sha256, record its own for the next time.

    Args:
        path: the file.
        source: its source, with the published checksums.
        pin: path of the recorded sha256.

    Returns:
        Whether this call recorded the sha256, so that the file is vouched for by a published md5 at most.

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
    """The recorded sha256, or None.

    Raises:
        UserError: the file exists but holds no sha256.
    """
    if not pin.is_file():
        return None
    known = pin.read_text(encoding="utf-8").partition(" ")[0]
    if len(known) != 64:
        raise UserError(f"{pin}: must be a sha256, two spaces and a name; delete it to record the sha256 again")
    return known


def agrees(path: Path, source: Archive) -> bool:
    """Whether a file has the published checksum."""
    return _digest(path, "sha256") == source.sha256 if source.sha256 else _digest(path, "md5") == source.md5


def _digest(path: Path, algorithm: str) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest()
