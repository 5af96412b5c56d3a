"""recmeta: compose, compile and judge cold-start recommendation experiments.

>>> import recmeta
>>> done = recmeta.run("dataset=synthetic", "learner=ridge")  # doctest: +SKIP
>>> done.scores, done.summary, done.directory  # doctest: +SKIP
>>> recmeta.results.frame("outputs/main")  # doctest: +SKIP

Importing it imports none of its libraries; they are loaded by what is used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from recmeta import results as results
    from recmeta.python import Done as Done
    from recmeta.python import run as run

__version__ = "0.1.0"
__all__ = ["Done", "__version__", "results", "run"]

_LATER = {"run": "recmeta.python", "Done": "recmeta.python"}


def __getattr__(name: str) -> Any:
    """Import `run`, `Done` or `results` at its first use."""
    if name in _LATER:
        return getattr(import_module(_LATER[name]), name)
    if name == "results":
        return import_module("recmeta.results")
    raise AttributeError(f"module 'recmeta' has no attribute {name!r}")


def __dir__() -> list[str]:
    """List all names, loaded or not."""
    return sorted({*globals(), *__all__})
