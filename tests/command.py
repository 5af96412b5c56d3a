"""The command line, in the process of a test."""

import sys

from recmeta.__main__ import main


def call(monkeypatch, *typed: str) -> int:
    """The exit code of ``recmeta`` and what is typed after it."""
    monkeypatch.setattr(sys, "argv", ["recmeta", *typed])
    try:
        main()
    except SystemExit as ended:
        return int(ended.code or 0)
    return 0
