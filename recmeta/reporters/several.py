"""Compose several reporters into one."""

from __future__ import annotations

from typing import Any

from recmeta.types import Reporter


def compose(*reporters: Reporter) -> Reporter:
    """One reporter that calls each of these, in order.

    ``close`` is called on all of them even where one raises; the first error is raised at the end.
    """

    def call_of(name: str) -> Any:
        def call_each(*args: Any) -> None:
            for reporter in reporters:
                getattr(reporter, name)(*args)

        return call_each

    def close(error: BaseException | None) -> None:
        first: BaseException | None = None
        for reporter in reporters:
            try:
                reporter.close(error)
            except BaseException as raised:
                first = first or raised
        if first is not None:
            raise first

    calls = {name: call_of(name) for name in ("start", "note", "log", "finish", "check")}
    return Reporter(**calls, close=close)
