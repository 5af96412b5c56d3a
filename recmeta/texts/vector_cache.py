"""Cache vectors of texts in a SQLite file, each under the sha256 of its text, so that none is encoded twice."""

from __future__ import annotations

import hashlib
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np
from jaxtyping import Float

from recmeta.runs.files import disk_errors
from recmeta.types import UserError

WAIT = 60
"""Seconds to wait for another process that writes."""


def look_up(path: Path, texts: Sequence[str]) -> dict[str, Float[np.ndarray, "d"]]:
    """Find the vectors of texts that are kept.

    Raises:
        UserError: the file can't be read.
    """
    if not path.exists():
        return {}
    found = {}
    with _connected(path) as database:
        for text in texts:
            row = database.execute("SELECT vector FROM vectors WHERE text = ?", (_key(text),)).fetchone()
            if row is not None:
                found[text] = np.frombuffer(row[0], "<f4")
    return found


def keep(path: Path, texts: Sequence[str], vectors: Float[np.ndarray, "N d"]) -> None:
    """Add the vectors of texts, so that an interrupted encoding goes on from here.

    Raises:
        UserError: the disk refuses.
    """
    with disk_errors(path.parent):
        path.parent.mkdir(parents=True, exist_ok=True)
    rows = [(_key(text), vector.astype("<f4").tobytes()) for text, vector in zip(texts, vectors, strict=True)]
    with _connected(path) as database, database:
        database.executemany("INSERT OR REPLACE INTO vectors VALUES (?, ?)", rows)


def _key(text: str) -> bytes:
    return hashlib.sha256(text.encode()).digest()


@contextmanager
def _connected(path: Path) -> Iterator[sqlite3.Connection]:
    try:
        with closing(sqlite3.connect(path, timeout=WAIT)) as database:
            database.execute("CREATE TABLE IF NOT EXISTS vectors (text BLOB PRIMARY KEY, vector BLOB NOT NULL)")
            yield database
    except sqlite3.Error as error:
        raise UserError(f"{path}: the cache of vectors can't be used ({error}); delete the file") from error
