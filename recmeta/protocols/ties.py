"""Break ties in time: rows of one user at one time come in an order by chance, fixed by the split's seed."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping

import numpy as np
from jaxtyping import Bool, Int, UInt

from recmeta.types import Interactions

Rows = Int[np.ndarray, "T n"]

_GOLDEN = 0x9E3779B97F4A7C15
_MULTIPLIERS = ((30, 0xBF58476D1CE4E5B9), (27, 0x94D049BB133111EB))


def tie_keys(data: Interactions, seed: int) -> UInt[np.ndarray, "n"]:
    """A hash per row, by which rows of one user at one time are ordered.

    It is a hash of the seed, the user's id, and of the item, which is known here by who has it and when, not by its
    id. An order of ids says something (titles in the alphabet, numbers in the order in which a shop took them in), and
    under other names the same data would be another split. Labels have no part in it. Items that the very same users
    have at the same times are alike in all of this; their rows stay in the order of the data set.

    Args:
        data: with times, the task's entities on the users' side.
        seed: of the split.

    Reference: the mixing of bits is that of splitmix64 (Steele, Lea and Flood, Fast splittable pseudorandom number
    generators, OOPSLA 2014).
    """
    users = np.array([_hashed(f"user\x1f{name}") for name in data.users.ids], np.uint64)[data.user]
    met = _mixed(users ^ _mixed(np.asarray(data.time).astype(np.int64).view(np.uint64)))
    order = np.argsort(data.item, kind="stable")
    item, start = np.unique(data.item[order], return_index=True)
    items = np.zeros(len(data.items.ids), np.uint64)
    items[item] = np.add.reduceat(met[order], start)  # a sum that wraps: the order of an item's rows is no matter
    return _mixed(_mixed(users ^ np.uint64(_hashed(f"seed\x1f{seed}"))) ^ items[data.item])


def _hashed(text: str) -> int:
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "little")


def _mixed(values: UInt[np.ndarray, "n"]) -> UInt[np.ndarray, "n"]:
    """Mix the bits of whole numbers, so that a change of any changes half of them."""
    found = values + np.uint64(_GOLDEN)
    for shift, multiplier in _MULTIPLIERS:
        found = (found ^ (found >> np.uint64(shift))) * np.uint64(multiplier)
    return found ^ (found >> np.uint64(31))


def tied(data: Interactions) -> Bool[np.ndarray, "n"]:
    """Whether each row has the time of another row of its user."""
    time = np.asarray(data.time)
    order = np.lexsort((time, data.user))
    same = (np.diff(data.user[order]) == 0) & (np.diff(time[order]) == 0)
    found = np.zeros(len(order), bool)
    found[order[1:]] |= same
    found[order[:-1]] |= same
    return found


def tie_note(data: Interactions, test: Mapping[str, tuple[Rows, Rows]]) -> str:
    """A line for the user: the share of tied rows, and how many tests are cut within a tie.

    Args:
        data: with times.
        test: scenario -> the rows of its tasks' supports and queries; -1 where there is none.
    """
    share = tied(data).mean()
    if not share:
        return "time order: no two rows of a user have the same time"
    time = np.asarray(data.time)
    cuts = []
    for name, (support, query) in test.items():
        last = np.where(support >= 0, time[support], np.iinfo(np.int64).min).max(axis=1)
        first = np.where(query >= 0, time[query], np.iinfo(np.int64).max).min(axis=1)
        cuts.append(f"{int((last == first).sum()):,} of {len(last):,} tasks ({name})")
    return (
        f"time order: {share:.1%} of rows have the time of another row of their user, and come in an order by chance; "
        f"support and query are parted within one time for {', '.join(cuts)}"
    )
