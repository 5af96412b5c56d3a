"""Name, read and lock a run's directory, and check that it holds the same run: of equal data, split and code."""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

import yaml

from recmeta.runs import layout
from recmeta.runs.files import disk_errors, one_line, read_object, to_json, to_yaml, write
from recmeta.runs.hashing import config_hash
from recmeta.types import UserError

Config = Mapping[str, Any]


class Occupied(UserError):
    """Another process holds the directory."""


class Previous(NamedTuple):
    """The content of a run directory from an earlier run.

    Attributes:
        summary: of a run that is complete; None where there is none.
        hashes: of what that run, or one that was interrupted, was made from; empty where there was none.
        forced: whether it was started with ``force=true``.
        components: of its components that are not recmeta's, the hash of each source file.
    """

    summary: dict[str, Any] | None
    hashes: Mapping[str, str]
    forced: bool
    components: Mapping[str, str] = MappingProxyType({})


def place(config: Config, digest: str | None = None) -> Path:
    """The directory of a config's run: one per config.

    Args:
        config: resolved.
        digest: its `config_hash`, where that is known.

    Raises:
        UserError: where the name can't be a folder's.
    """
    check_name(config["name"])
    return Path(config["output"]) / config["name"] / (digest or config_hash(config))[:12]


def check_name(name: str) -> None:
    """Refuse a name that can't be a folder's."""
    if name in ("", ".", "..") or set(name) & set('/\\:*?"<>|'):
        raise UserError(f'name={name}: it names a folder, so give it none of / \\ : * ? " < > |')


def read(directory: Path, digest: str) -> Previous:
    """Read the content of a run directory.

    Args:
        directory: of the run.
        digest: the `config_hash` of the config that is to be run there.

    Raises:
        UserError: where it belongs to another config, or is damaged.
    """
    try:
        there = directory / layout.CONFIG
        config = yaml.safe_load(there.read_text(encoding="utf-8")) if there.exists() else None
        summary, started = read_object(directory / layout.SUMMARY), read_object(directory / layout.PROVENANCE)
        checkpoints = (directory / layout.CHECKPOINTS).exists()
    except OSError as error:
        raise UserError(f"{directory} can't be read ({error.strerror}); give another output=") from error
    except (ValueError, yaml.YAMLError) as error:
        raise UserError(f"{directory} is damaged ({one_line(error)}); remove it") from error
    if there.exists() and (not isinstance(config, Mapping) or config_hash(config) != digest):
        raise UserError(f"{directory} holds a run of another config; remove it, or give another name=")
    record = started if summary is None else summary
    hashes = (record or {}).get("hashes")
    if hashes is None and (summary is not None or checkpoints):
        raise UserError(f"{directory} is damaged (it does not say which data it is of); remove it")
    forced = config is not None and config.get("force") is True
    return Previous(summary, hashes or {}, forced, (started or {}).get("components") or {})


def starts_over(previous: Previous, hashes: Mapping[str, str], *, force: bool) -> bool:
    """Whether to start over: ``force=true``, unless resuming a forced run that was interrupted.

    >>> interrupted = Previous(None, {"data": "d", "protocol": "p"}, forced=True)
    >>> starts_over(interrupted, {"data": "d", "protocol": "p"}, force=True)
    False
    >>> starts_over(interrupted._replace(forced=False), {"data": "d", "protocol": "p"}, force=True)
    True
    """
    made_from = ("data", "protocol", "start", "constants", "text", "components")
    same = all(previous.hashes.get(key) == hashes.get(key) for key in made_from)
    return force and not (previous.forced and previous.summary is None and same)


def check_same(previous: Previous, hashes: Mapping[str, str], directory: Path) -> list[str]:
    """Compare the data, split, start and code of a directory's run with those of now.

    The config holds a file's name, not its content, so that the same config may have other data.

    Returns:
        Messages for the user: that the code has changed.

    Raises:
        UserError: where the data, the split, the start, the model's constants or the encoder of texts have changed.
    """
    if not previous.hashes:
        return []
    changes = {
        "data": "other data: the data", "protocol": "other data: the split of the data",
        "start": "another start: the run that it begins with",
        "constants": "other constants: arrays that nobody trains, as pretrained vectors, have",
        "text": "other text features: the files that texts are encoded by have",
    }  # fmt: skip
    for key, change in changes.items():
        if previous.hashes.get(key) != hashes.get(key):
            raise UserError(
                f"{directory} holds a run of {change} changed since; force=true discards it and runs again, another "
                "name= keeps both"
            )
    if previous.hashes.get("code") != hashes["code"]:
        return [f"recmeta's code changed since {directory} was started: its numbers may not be what this code gives"]
    return []


def edited(previous: Previous, components: Mapping[str, str]) -> list[str]:
    """List source files of components that were edited since a directory's run.

    recmeta's own code is no part of it: that has changed is a message (`check_same`), an edited component another run.

    Args:
        previous: what the directory holds.
        components: of the run that is asked for, the hash of each file.

    >>> previous = Previous({}, {"data": "d"}, False, {"mine.py": "old", "same.py": "s"})
    >>> edited(previous, {"mine.py": "new", "same.py": "s"})
    ['mine.py']
    """
    if not previous.hashes:
        return []
    names = sorted({*previous.components, *components})
    return [name for name in names if previous.components.get(name) != components.get(name)]


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


def make(directory: Path) -> list[Path]:
    """Make a run directory.

    Returns:
        The folders that were made, the outermost first; none where it was there.

    Raises:
        UserError: where it can't be made.
    """
    try:
        lacking = [path for path in (directory, *directory.parents) if not path.exists()]
        directory.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        why = "the disk is full" if error.errno == errno.ENOSPC else error.strerror
        raise UserError(f"output: can't make {directory}: {why}; give another output=") from error
    return lacking[::-1]


def discard(made: Sequence[Path]) -> None:
    """Remove a run directory in which nothing was done, and the folders that were made for it, where they are empty.

    Args:
        made: from `make`.
    """
    if made:
        shutil.rmtree(made[-1], ignore_errors=True)
    for folder in reversed(made[:-1]):
        with suppress(OSError):
            folder.rmdir()


@contextmanager
def locked(directory: Path) -> Iterator[list[str]]:
    """Lock a run directory, so that no second process runs in it; the system releases the lock when this one dies.

    Yields:
        Messages for the user: that the file system has no locks.

    Raises:
        Occupied: where another process holds it.
        UserError: where it can't be written.
    """
    with disk_errors(directory):
        lock = (directory / layout.LOCK).open("ab")
    with lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise Occupied(f"{directory} is in progress in another process; wait, or give another name=") from error
        except OSError as error:
            yield [f"{directory} can't be locked ({error.strerror}): don't start this run twice at the same time"]
            return
        yield []


def is_locked(directory: Path) -> bool:
    """Whether a process runs in a directory: it has it `locked` then."""
    try:
        with (directory / layout.LOCK).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # there is no lock, or the file system has none
        return False
    return False


def record_failure(config: Config, overrides: Sequence[str], error: BaseException, code: int) -> list[Path]:
    """Write a failure of a sweep's run where the run would be, if that is known and there is room.

    Its config stands beside it, so that it can be said what was tried. Numbers that are there stand, and so does what
    another process is running there.

    Args:
        config, overrides: of the run.
        error: why it failed.
        code: the exit code that it makes.

    Returns:
        The folders that were made for it.
    """
    made: list[Path] = []
    if not config:
        return made
    with suppress(UserError):
        directory = place(config)
        made += make(directory)
        with locked(directory), disk_errors(directory):
            if not (directory / layout.SUMMARY).exists():
                # The config that a run began with stands: it says whether that was by force=true.
                if not (directory / layout.CONFIG).exists():
                    write(directory / layout.CONFIG, to_yaml(dict(config)))
                failure = {"error": one_line(error), "type": type(error).__name__, "code": code}
                write(directory / layout.FAILURE, to_json({**failure, "overrides": list(overrides)}))
    return made
