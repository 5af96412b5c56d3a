"""The run directory, before and around a run: where it is, what is in it already, and who holds it."""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, NamedTuple

import yaml

from recmeta import provenance
from recmeta.reporters.files import disk, to_json, write
from recmeta.types import UserError

Config = Mapping[str, Any]

CHECKPOINTS = "checkpoints"
LOCK = ".lock"
"""The file whose lock a run holds. It stays: to remove it would let two processes lock two files of one name."""


class Occupied(UserError):
    """Another process holds the directory."""


class Before(NamedTuple):
    """What a run directory holds of the runs before.

    Attributes:
        summary: of a run that is done; None where there is none.
        hashes: of what that run, or the one that was interrupted, was made from; empty where there was none.
        forced: whether it was started with ``force=true``.
    """

    summary: dict[str, Any] | None
    hashes: Mapping[str, str]
    forced: bool


def place(config: Config) -> Path:
    """Where the run of a config is written: one directory per config.

    Raises:
        UserError: where the name can't be a folder's.
    """
    check_name(config["name"])
    return Path(config["output"]) / config["name"] / provenance.config_hash(config)[:12]


def check_name(name: str) -> None:
    """Refuse a name that can't be a folder's."""
    if name in ("", ".", "..") or set(name) & set('/\\:*?"<>|'):
        raise UserError(f'name={name}: it names a folder, so give it none of / \\ : * ? " < > |')


def read(directory: Path, config: Config) -> Before:
    """What a run directory holds already.

    Raises:
        UserError: where it belongs to another config, or is damaged.
    """
    try:
        there = directory / "config.yaml"
        other = yaml.safe_load(there.read_text(encoding="utf-8")) if there.exists() else config
        summary, started = _object(directory / "summary.json"), _object(directory / "provenance.json")
        checkpoints = (directory / CHECKPOINTS).exists()
    except OSError as error:
        raise UserError(f"{directory} can't be read ({error.strerror}); give another output=") from error
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{directory} is damaged ({' '.join(str(error).split())}); remove it") from error
    if not isinstance(other, Mapping) or provenance.config_hash(other) != provenance.config_hash(config):
        raise UserError(f"{directory} holds a run of another config; remove it, or give another name=")
    record = started if summary is None else summary
    hashes = (record or {}).get("hashes")
    if hashes is None and (summary is not None or checkpoints):
        raise UserError(f"{directory} is damaged (it does not say which data it is of); remove it")
    return Before(summary, hashes or {}, there.exists() and other.get("force") is True)


def _object(path: Path) -> dict[str, Any] | None:
    """A JSON object; None where there is no file."""
    value = json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
    if value is not None and not isinstance(value, dict):
        raise ValueError(f"{path.name} is no JSON object")
    return value


def starts_over(before: Before, hashes: Mapping[str, str], *, force: bool) -> bool:
    """Whether what is there is to be discarded: by ``force=true``, but for a forced run that was interrupted.

    That one is what the same command began, and the same command resumes.

    >>> interrupted = Before(None, {"data": "d", "protocol": "p"}, forced=True)
    >>> starts_over(interrupted, {"data": "d", "protocol": "p"}, force=True)
    False
    >>> starts_over(interrupted._replace(forced=False), {"data": "d", "protocol": "p"}, force=True)
    True
    """
    same = all(before.hashes.get(key) == hashes.get(key) for key in ("data", "protocol", "start"))
    return force and not (before.forced and before.summary is None and same)


def differences(before: Before, hashes: Mapping[str, str], directory: Path) -> list[str]:
    """Compare what is there with what a run is made from now. The config holds a file's name, not its content.

    Returns:
        Lines for the user: that the code is another.

    Raises:
        UserError: where the data, the split or the start are others.
    """
    if not before.hashes:
        return []
    said = {"data": "other data: the data", "protocol": "other data: the split of the data"}
    for key, other in (said | {"start": "another start: the run that it begins with"}).items():
        if before.hashes.get(key) != hashes.get(key):
            raise UserError(
                f"{directory} holds a run of {other} changed since; force=true discards it and runs again, another "
                "name= keeps both"
            )
    if before.hashes.get("code") != hashes["code"]:
        return [f"recmeta's code changed since {directory} was started: its numbers may not be what this code gives"]
    return []


def check_writable(directory: Path) -> None:
    """Refuse a directory that can't be made or written, without making it.

    Raises:
        UserError: where it can't.
    """
    for path in (directory, *directory.absolute().parents):
        try:
            if not path.exists():
                continue
            why = errno.ENOTDIR if not path.is_dir() else 0 if os.access(path, os.W_OK | os.X_OK) else errno.EACCES
        except OSError as error:
            why = error.errno or errno.EIO
        if why:
            raise UserError(f"output: can't make {directory}: {os.strerror(why)} ({path}); give another output=")
        return


def make(directory: Path) -> None:
    """Make a run directory.

    Raises:
        UserError: where it can't be made.
    """
    try:
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise UserError(f"output: can't make {directory}: {why}; give another output=") from error


@contextmanager
def held(directory: Path) -> Iterator[list[str]]:
    """Hold a run directory, so that no second process runs in it; the system lets go of it when this one dies.

    Yields:
        Lines for the user: that the file system knows no locks.

    Raises:
        Occupied: where another process holds it.
        UserError: where it can't be written.
    """
    with disk(directory):
        lock = (directory / LOCK).open("ab")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Occupied(f"{directory} is in progress in another process; wait, or give another name=") from error
        except OSError as error:
            yield [f"{directory} can't be locked ({error.strerror}): don't start this run twice at the same time"]
            return
        yield []


def record_failure(config: Config, overrides: Sequence[str], error: BaseException, code: int) -> None:
    """Write down a failed point of a sweep where its run would be, if that is known and there is room.

    Its config stands beside it, so that it can be said what was tried. Numbers that are there stand, and so does what
    another process is running there.

    Args:
        config, overrides: of the point.
        error: why it failed.
        code: the exit code that it makes.
    """
    if not config:
        return
    with suppress(UserError):
        directory = place(config)
        make(directory)
        with held(directory), disk(directory):
            if not (directory / "summary.json").exists():
                # What a run began with stands: it says whether that was by force=true.
                if not (directory / "config.yaml").exists():
                    write(directory / "config.yaml", yaml.safe_dump(dict(config), sort_keys=False))
                said = {"error": " ".join(str(error).split()), "type": type(error).__name__, "code": code}
                write(directory / "failure.json", to_json({**said, "overrides": list(overrides)}))
