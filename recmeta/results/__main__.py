"""``python -m recmeta.results outputs/NAME...``: run directories to tables, tests and verdicts."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from recmeta.results import render
from recmeta.results.runs import find
from recmeta.results.tables import tabulate
from recmeta.types import UserError

WIDE = 200
"""Columns of the output where there is no terminal to say so."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables of runs, and write them where ``--out`` says.

    Args:
        argv: the command line; None for the process's own.

    Returns:
        The exit code: 0 done, 2 the user's input.
    """
    asked = _parser().parse_args(argv)
    try:
        _report(asked.paths, asked.out, asked.metric, asked.shots)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _report(paths: Sequence[Path], out: Path | None, metric: str | None, shots: int | None) -> None:
    screen = Console(highlight=False)
    if not screen.is_terminal:
        screen.width = WIDE
    runs, missing = find(paths)
    if not runs:
        for line in render.missing_lines(missing):
            screen.print(line, markup=False, soft_wrap=True)
        raise UserError(f"{', '.join(map(str, paths))}: none of {len(missing)} runs is complete")
    tables = tabulate(runs, metric, shots)
    for part in render.console(tables, missing):
        screen.print(part, soft_wrap=isinstance(part, str))
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
            for name, made in render.FILES.items():
                (out / name).write_text(made(tables, missing))
        except OSError as error:
            raise UserError(f"--out {out}: cannot be written ({error.strerror})") from error
        screen.print(f"written: {', '.join(str(out / name) for name in render.FILES)}", markup=False, soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="recmeta-report", description="Run directories to tables, tests and verdicts."
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="outputs/NAME", help="run directories, or folders of them"
    )
    parser.add_argument("--out", type=Path, metavar="DIR", help=f"also write {', '.join(render.FILES)} there")
    parser.add_argument("--metric", help="sort and test by this one; the runs' own if not given")
    parser.add_argument("--shots", type=int, metavar="K", help="support size; the protocol's headline if not given")
    return parser


if __name__ == "__main__":
    sys.exit(main())
