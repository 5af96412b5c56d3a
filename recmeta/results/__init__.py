"""Tables, tests and verdicts of finished runs. Reads files only; imports none of the training code."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recmeta.results.frames import frame as frame


def __getattr__(name: str) -> Any:
    """Import `frame` where it is asked for: importing recmeta loads no library."""
    if name == "frame":
        from recmeta.results.frames import frame

        return frame
    raise AttributeError(f"module 'recmeta.results' has no attribute {name!r}")
