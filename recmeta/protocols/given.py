"""Read a split that a file gives, or that the files of the data set themselves give."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

import numpy as np
import polars as pl
from jaxtyping import Int

from recmeta.datasets.sheet import Sheet, read_sheet
from recmeta.protocols.plan import TEST, VALIDATION, WARM
from recmeta.types import Interactions, UserError

ROLES = {"train": WARM, "validation": VALIDATION, "valid": VALIDATION, "test": TEST}
SUPPORT, QUERY = 0, 1
PARTS = {"support": SUPPORT, "query": QUERY}

COLUMNS: Mapping[str, str | None] = {"user": "user", "item": "item", "role": "role", "scenario": None, "part": None}
"""Default names of the columns; those without one are not read by default."""

SCENARIO = "manifest"
"""The name of the test scenario where the file names none."""


class Given(NamedTuple):
    """The split of a data set's rows.

    Attributes:
        where: what gives it, for messages.
        role: `WARM`, `VALIDATION` or `TEST` of each row; -1 where it has none.
        scenarios: names of what is tested on.
        scenario: of each test row, its place in ``scenarios``; -1 of all others.
        part: `SUPPORT` or `QUERY` of each row; -1 where nothing is said.
        has_parts: whether the file says which rows are support and which query.
        counts: rows of the file that the data set has not.
    """

    where: str
    role: Int[np.ndarray, "n"]
    scenarios: tuple[str, ...]
    scenario: Int[np.ndarray, "n"]
    part: Int[np.ndarray, "n"]
    has_parts: bool
    counts: Mapping[str, int]


def read_given(data: Interactions, file: str | os.PathLike[str] | None, columns: Mapping[str, str | None]) -> Given:
    """Read the split of a file, or of the data set's own files.

    Args:
        data: the data set, as it was loaded and cleaned.
        file, columns: see `recmeta.protocols.manifest.manifest`.

    Raises:
        UserError: with file and line.
    """
    if unknown := sorted(set(columns) - set(COLUMNS)):
        raise UserError(f"protocol.columns.{unknown[0]}: unknown; the columns are {', '.join(COLUMNS)}")
    if file is None:
        return _own(data)
    sheet = read_sheet(Path(file).expanduser())
    found = _codes(sheet, {**COLUMNS, **columns})
    names = {side: pl.Series(side, entities.ids) for side, entities in (("user", data.users), ("item", data.items))}
    rows = pl.DataFrame({"user": names["user"].gather(data.user), "item": names["item"].gather(data.item)})
    joined = rows.join(found, on=["user", "item"], how="left", maintain_order="left")
    matched = int(joined["role"].is_not_null().sum())
    if not matched:
        raise UserError(
            f"{sheet.path}: none of its {found.height:,} pairs of a user and an item is in {data.name}; there a pair "
            f"is user {rows['user'][0]!r} and item {rows['item'][0]!r}, in the file user {found['user'][0]!r} and item "
            f"{found['item'][0]!r}"
        )
    role, part, scenario = (joined[name].fill_null(-1).to_numpy() for name in ("role", "part", "scenario"))
    listed = found.filter(pl.col("role") == TEST)["scenario_name"].unique().sort().to_list()
    lost = found.height - matched
    counts = {"manifest_rows_without_interaction": lost} if lost else {}
    return Given(str(sheet.path), role, tuple(listed), scenario, part, bool((part >= 0).any()), counts)


def _own(data: Interactions) -> Given:
    """The split that the data set's own files give."""
    if data.part is None:
        raise UserError(
            f"protocol=manifest: the files of {data.name} give no split; set protocol.file to one with the columns "
            "user, item and role (train, validation or test)"
        )
    role, nothing = np.asarray(data.part, int), np.full(len(data.part), -1)
    return Given(
        f"{data.name}: its files", role, (SCENARIO,), np.where(role == TEST, 0, -1), nothing, has_parts=False, counts={}
    )


def _codes(sheet: Sheet, named: Mapping[str, str | None]) -> pl.DataFrame:
    """The file as ids and codes: ``user, item, role, scenario_name, scenario, part``."""
    for role in ("user", "item", "role"):
        if named[role] is None:
            raise UserError(f"protocol.columns.{role} is not set: name the column")
    text = {role: sheet.column(name, f"protocol.columns.{role}") for role, name in named.items() if name is not None}
    for role in ("user", "item", "role"):
        sheet.refuse(text[role].is_null(), str(named[role]), f"is no {role}; every row needs one")
    role = _coded(sheet, str(named["role"]), text["role"], ROLES)
    frame = pl.DataFrame({"user": text["user"], "item": text["item"], "role": role})
    frame = frame.with_columns(part=pl.lit(-1), scenario_name=pl.lit(SCENARIO))
    if "part" in text:
        part = _coded(sheet, str(named["part"]), text["part"], PARTS)
        sheet.refuse((role != WARM) & part.is_null(), str(named["part"]), "is no part; give support or query")
        frame = frame.with_columns(part=part.fill_null(-1))
    if "scenario" in text:
        frame = frame.with_columns(scenario_name=text["scenario"].str.strip_chars().fill_null(SCENARIO))
    repeated = ~frame.select(pl.struct("user", "item").is_first_distinct()).to_series()
    sheet.refuse(repeated, str(named["user"]), "has this item in an earlier line already; a pair has one role")
    listed = frame.filter(pl.col("role") == TEST)["scenario_name"].unique().sort().to_list()
    place = pl.col("scenario_name").replace_strict(listed, list(range(len(listed))), default=-1, return_dtype=pl.Int64)
    return frame.with_columns(scenario=pl.when(pl.col("role") == TEST).then(place).otherwise(-1))


def _coded(sheet: Sheet, column: str, values: pl.Series, words: Mapping[str, int]) -> pl.Series:
    """Words as codes, null where a cell is empty."""
    lower = values.str.strip_chars().str.to_lowercase()
    codes = lower.replace_strict(list(words), list(words.values()), default=None, return_dtype=pl.Int64)
    sheet.refuse(values.is_not_null() & codes.is_null(), column, f"is none of {', '.join(words)}")
    return codes
