"""Tables and lines for a terminal of any width: no number and no name is cut.

Columns that do not fit go to another table below, with the rows' names again; names that leave no room for numbers go
to lines of their own.
"""

from __future__ import annotations

import os
import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import zip_longest
from types import MappingProxyType

from rich.cells import cell_len
from rich.console import Console
from rich.text import Text

GAP = 2
"""Blanks between columns, and before the numbers of a row whose name is on a line of its own."""


def has_width(screen: Console) -> bool:
    """Whether a screen has a width of its own: a terminal, or any output where ``COLUMNS`` is set."""
    return screen.is_terminal or "COLUMNS" in os.environ


def fold(text: str, width: int) -> str:
    """Break a line between words, with the rest indented; a word is never cut.

    >>> print(fold("below user_item_bias by 0.500 MAE", 24))
    below user_item_bias by
      0.500 MAE
    """
    return "\n".join(_folded(text, width, indent=GAP))


def fold_beside(name: str, text: str, column: int, width: int) -> list[str]:
    """Put a text beside a name, or below it where the name is too long; its lines begin in one column.

    >>> fold_beside("rate=0.1", "their size", 12, 80), fold_beside("a_long_name=1", "a text", 6, 80)
    (['rate=0.1    their size'], ['a_long_name=1', '      a text'])
    """
    lines = [" " * column + line for line in _folded(text, width - column)] if text else []
    if lines and cell_len(name) + GAP <= column:
        return [name + lines[0][cell_len(name) :], *lines[1:]]
    return [name, *lines]


def lay_out(
    head: Sequence[str],
    body: Sequence[Sequence[str]],
    sides: Sequence[str],
    width: int,
    *,
    keys: int = 1,
    styles: Mapping[int, str] = MappingProxyType({}),
) -> Text:
    """Lay a table out for a width: names beside the numbers, or above them where that saves many lines.

    Args:
        head: names of the columns.
        body: text, a row each.
        sides: alignment of each column, "l" or "r".
        width: columns of the terminal.
        keys: how many of the first columns name the rows; they are repeated in every part of the table.
        styles: row -> its style, as rich has them.

    Returns:
        Lines without a newline at the end, to be printed as they are (``soft_wrap=True``).
    """
    every = list(range(keys, len(head)))
    sizes = _sizes([head, *body])
    if sum(size + GAP for size in sizes) - GAP > width:
        # Words in a column are folded before columns are moved.
        narrow = [max(width // 3, max(map(cell_len, head[at].split()), default=0)) for at in range(len(head))]
        body = [
            [fold(cell, narrow[at]) if sides[at] == "l" and at >= keys else cell for at, cell in enumerate(row)]
            for row in body
        ]
        sizes = _sizes([head, *body])
    names = sum(size + GAP for size in sizes[:keys])
    beside = _dealt(every, sizes, width - names)
    below = _dealt(every, sizes, width - GAP)
    fits = all(size + GAP <= width - names + GAP for size in sizes[keys:])
    # Numbers below each other are read more easily: lines are spent on it, half as many again.
    if fits and len(beside) * (len(body) + 3) <= 1.5 * len(below) * (2 * len(body) + 3):
        tables = (_beside(head, body, styles, [*range(keys), *part], sides) for part in beside)
    else:
        tables = (_below(head, body, styles, part, sides, keys, width) for part in below)
    made = Text("\n\n").join(tables)
    made.no_wrap = True
    return made


def _folded(text: str, width: int, indent: int = 0) -> list[str]:
    made = textwrap.wrap(
        text, max(width, 1), subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False
    )
    return made or [""]


def _sizes(rows: Sequence[Sequence[str]]) -> list[int]:
    """The width of each column: of the widest line of its cells."""
    return [max(cell_len(line) for cell in column for line in cell.split("\n")) for column in zip(*rows, strict=True)]


def _dealt(columns: Sequence[int], sizes: Sequence[int], room: int) -> list[list[int]]:
    """Deal columns out to tables, in order; one that fits into no table has one of its own."""
    parts: list[list[int]] = [[]]
    left = room + GAP
    for at in columns:
        if sizes[at] + GAP > left and parts[-1]:
            parts.append([])
            left = room + GAP
        parts[-1].append(at)
        left -= sizes[at] + GAP
    return parts


def _beside(
    head: Sequence[str],
    body: Sequence[Sequence[str]],
    styles: Mapping[int, str],
    columns: Sequence[int],
    sides: Sequence[str],
) -> Text:
    """A table with the names beside the numbers."""
    cells = [[row[at] for at in columns] for row in (head, *body)]
    return _ruled(cells, [None, *map(styles.get, range(len(body)))], [sides[at] for at in columns])


def _below(
    head: Sequence[str],
    body: Sequence[Sequence[str]],
    styles: Mapping[int, str],
    columns: Sequence[int],
    sides: Sequence[str],
    keys: int,
    width: int,
) -> Text:
    """A table with each row's numbers below its name."""
    values = [[row[at] for at in columns] for row in (head, *body)]
    sizes = _sizes(values)
    made = Text()
    for place, (row, cells) in enumerate(zip((head, *body), values, strict=True), start=-1):
        style = styles.get(place)
        named = fold("  ".join(cell for cell in row[:keys] if cell), width)
        lines = [*([named] if named else []), *(" " * GAP + line for line in _lines(cells, sizes, columns, sides))]
        made.append("\n".join(lines) + "\n", style)
        if place < 0:
            made.append(_rule(sizes, GAP) + "\n")
    made.rstrip()
    return made


def _ruled(rows: Sequence[Sequence[str]], styles: Sequence[str | None], sides: Sequence[str]) -> Text:
    """Lines of aligned cells, with a rule below the first."""
    sizes = _sizes(rows)
    made = Text()
    for place, (cells, style) in enumerate(zip(rows, styles, strict=True)):
        made.append("\n".join(_lines(cells, sizes, range(len(cells)), sides)) + "\n", style)
        if not place:
            made.append(_rule(sizes) + "\n")
    made.rstrip()
    return made


def _rule(sizes: Sequence[int], more: int = 0) -> str:
    return "─" * (sum(sizes) + GAP * (len(sizes) - 1) + more)


def _lines(cells: Sequence[str], sizes: Sequence[int], columns: Sequence[int], sides: Sequence[str]) -> Iterator[str]:
    """The lines of a row, of which a folded cell has several."""
    for parts in zip_longest(*(cell.split("\n") for cell in cells), fillvalue=""):
        padded = [
            part + " " * (size - cell_len(part)) if sides[at] == "l" else " " * (size - cell_len(part)) + part
            for part, size, at in zip(parts, sizes, columns, strict=True)
        ]
        yield (" " * GAP).join(padded).rstrip()
