"""Command line of reports: ``python -m recmeta.results outputs/NAME...`` and ``status`` of a sweep."""

from __future__ import annotations

import argparse
import codecs
import io
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from recmeta.results import regret, render, status
from recmeta.results.grids import Report, justified, missing_lines
from recmeta.results.judging import Judging
from recmeta.results.latex import Style, check, read_names
from recmeta.results.ranks import rankings
from recmeta.results.runs import find
from recmeta.results.screen import fold, has_width, lay_out
from recmeta.results.tables import tabulate
from recmeta.results.write import FILES, LATEX, PAGE, TABLES, write
from recmeta.statistics import CORRECTIONS, TESTS
from recmeta.types import UserError

WIDE = 200
"""Width in columns of output that is no terminal."""

STAND_INS = {"\N{MINUS SIGN}": "-", "≈": "~", "≥": ">=", "…": "..", "∞": "inf", "—": "-", "─": "-", "†": "*"}
"""Replacements printed for characters that the terminal's encoding lacks."""


def main(argv: Sequence[str] | None = None) -> int:
    """Print the tables of runs, and write them into the folder given by ``--out``.

    Args:
        argv: the command line; None for the process's own.

    Returns:
        The exit code: 0 done, 2 the user's input.
    """
    given = list(sys.argv[1:] if argv is None else argv)
    if given[:1] == ["status"]:
        return _status(given[1:])
    options = _parser().parse_args(given)
    how = Judging(
        options.metric,
        options.shots,
        options.test,
        options.correction,
        options.by,
        options.imported,
        options.against,
        options.ablation,
        options.all,
    )
    try:
        names = read_names(options.names) if options.names else {}
        style = Style(options.metrics, options.methods, names, options.spread)
        with _printable():
            if options.regret:
                _refuse_unused(options)
                _regret(options.paths, options.out, how)
                return 0
            command = f"python -m recmeta.results {shlex.join(given)}"
            _report(options.paths, options.searched, options.out, how, style, command)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


def _status(given: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(
        prog="recmeta-report status", description="Runs of a sweep by state: done, failed, running, missing."
    )
    parser.add_argument("folder", type=Path, metavar="outputs/NAME", help="a folder of runs")
    try:
        found = status.statuses(parser.parse_args(given).folder)
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    with _printable():
        print(*status.lines(found), sep="\n")
    return 0


def _report(
    paths: Sequence[Path], searched: Sequence[Path], out: Path | None, how: Judging, style: Style, command: str
) -> None:
    screen = Console(highlight=False, markup=False, emoji=False)
    sized = has_width(screen)
    runs, missing = find(paths)
    if not runs:
        for line in missing_lines(missing):
            screen.print(line, soft_wrap=True)
        raise UserError(f"{', '.join(map(str, paths))}: none of {len(missing)} runs is complete")
    before, without = find(searched)
    tables = tabulate(runs, how, [*missing, *without], before)
    report = Report(tables, rankings(tables), missing, how)
    check(report, style)
    for part in render.console(report, screen.width if sized else WIDE):
        screen.print(fold(part, screen.width) if sized and isinstance(part, str) else part, soft_wrap=True)
    if out is not None:
        written = write(report, out, style, command)
        screen.print(f"written: {', '.join(map(str, written))}", soft_wrap=True)


def _refuse_unused(options: argparse.Namespace) -> None:
    """Refuse options without a part in a table of regrets."""
    given = {
        "--by": options.by, "--import": options.imported, "--searched": options.searched, "--against": options.against,
        "--ablation": options.ablation, "--metrics": options.metrics, "--methods": options.methods,
        "--names": options.names,
    }  # fmt: skip
    if unused := [name for name, value in given.items() if value]:
        raise UserError(f"{', '.join(unused)}: of no use with --regret, which is over all tables")


def _regret(paths: Sequence[Path], out: Path | None, how: Judging) -> None:
    """Print the regret of every learner, and write it as CSV."""
    screen = Console(highlight=False, markup=False, emoji=False)
    width = screen.width if has_width(screen) else WIDE
    runs, missing = find(paths)
    made = regret.regrets(runs, how)
    table = regret.grid(made.found)
    screen.print(table.title)
    screen.print(lay_out(table.head, table.body, justified(table.head), width, keys=3), soft_wrap=True)
    for line in ("", *regret.summary_lines(made.found), *made.notes, *missing_lines(missing)):
        screen.print(fold(line, width), soft_wrap=True)
    if out is not None:
        try:
            out.mkdir(parents=True, exist_ok=True)
            (out / regret.CSV).write_text(regret.comma_separated(made.found), encoding="utf-8")
        except OSError as error:
            raise UserError(f"--out {out}: cannot be written ({error.strerror})") from error
        screen.print(f"written: {out / regret.CSV}", soft_wrap=True)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="recmeta-report",
        description="Run directories to tables, figures and verdicts (docs/results.md).",
        epilog="recmeta-report status outputs/NAME: runs of a sweep by state.",
    )
    parser.add_argument(
        "paths", nargs="+", type=Path, metavar="outputs/NAME", help="run directories, or folders of them"
    )
    parser.add_argument(
        "--out",
        type=Path,
        metavar="DIR",
        help=f"also write {PAGE}, {', '.join(FILES)}, {LATEX}, {TABLES}/ and figures/",
    )
    parser.add_argument(
        "--metric", help="metric to sort and test by; default: the runs' own; NAME:min or NAME:max for unusual ones"
    )
    parser.add_argument(
        "--searched", nargs="+", action="extend", default=[], type=Path, metavar="outputs/NAME",
        help="runs that settings were chosen by: counted in the ledger, not listed in the tables",
    )  # fmt: skip
    parser.add_argument("--shots", type=int, metavar="K", help="support size; the protocol's headline if not given")
    parser.add_argument("--test", choices=TESTS, default="t", help="paired per task (default: %(default)s)")
    parser.add_argument(
        "--correction", choices=CORRECTIONS, default="holm", help="holm to conclude, bh to explore (default: holm)"
    )
    parser.add_argument("--against", metavar="ROW", help="compare with this row; the best baseline if not given")
    parser.add_argument("--ablation", metavar="ROW", help="also every other learner in difference to this one")
    parser.add_argument(
        "--all", action="store_true", help="all settings of a method; default: the one that meta-validation chose"
    )
    parser.add_argument(
        "--regret", action="store_true",
        help="instead: every learner's distance to the best baseline, over all data sets and support sizes",
    )  # fmt: skip
    parser.add_argument("--by", metavar="COLUMN", help="also by buckets of shots, or of a column about tasks: activity")
    parser.add_argument(
        "--import", dest="imported", nargs="+", action="extend", default=[], type=Path, metavar="FILE",
        help="other systems' scores: CSV or Parquet with the columns task, a metric; (seed, split, shots, method)",
    )  # fmt: skip
    paper = parser.add_argument_group("LaTeX tables (with --out)")
    paper.add_argument("--metrics", nargs="+", default=[], metavar="NAME", help="columns, in order; default: all")
    paper.add_argument("--methods", nargs="+", default=[], metavar="ROW", help="rows, in order; default: all")
    paper.add_argument("--names", type=Path, metavar="FILE", help="yaml of names in print: `learner=maml: MAML`")
    paper.add_argument(
        "--spread", choices=("pm", "interval", "none"), default="pm",
        help="behind a mean: half its 95 %% interval, its two ends, or nothing (default: %(default)s)",
    )  # fmt: skip
    return parser


class _printable:
    """Context manager under which standard output replaces characters its encoding lacks, instead of failing."""

    def __enter__(self) -> None:
        codecs.register_error("recmeta.stand_in", _stand_in)
        self.before = sys.stdout.errors
        self._set("recmeta.stand_in")

    def __exit__(self, *_: object) -> None:
        self._set(self.before)

    def _set(self, errors: str | None) -> None:
        if isinstance(sys.stdout, io.TextIOWrapper):
            sys.stdout.reconfigure(errors=errors)


def _stand_in(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    lacking = error.object[error.start : error.end]
    return "".join(STAND_INS.get(character, "?") for character in lacking), error.end


if __name__ == "__main__":
    sys.exit(main())
