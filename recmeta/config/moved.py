"""Old names of settings that have moved into a block, and the line that gives the new one."""

from __future__ import annotations

from collections.abc import Collection, Mapping

_EPISODES = (
    "shots", "query", "train_shots", "train_query", "headline", "min_history", "max_history", "validation_draws",
)  # fmt: skip
_INNER = ("clip", "fast_weights", "truncate", "remat")

MOVED: Mapping[str, str] = {
    **{f"protocol.{name}": f"protocol.episodes.{name}" for name in _EPISODES},
    "protocol.candidates": "protocol.candidates.kind",
    "protocol.sampled": "protocol.candidates.number",
    "learner.inner_optimizer": "learner.inner.optimizer",
    **{f"learner.{name}": f"learner.inner.{name}" for name in _INNER},
}
"""Old dotted key -> new one. A setting that never had another name needs no entry."""


def new_name(key: str, there: Collection[str]) -> str | None:
    """The new name of a setting that has moved, in one line; None where it never moved.

    Args:
        key: its dotted key.
        there: the settings beside it that are taken: a component without the block never had the setting.

    >>> new_name("protocol.shots", ["episodes"])
    'protocol.shots is protocol.episodes.shots now'
    """
    new = MOVED.get(key)
    return f"{key} is {new} now" if new and new.split(".")[1] in there else None
