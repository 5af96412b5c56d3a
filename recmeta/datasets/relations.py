"""Read relations between users and items from files: a social network, an item graph, a knowledge graph's edges."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np
import polars as pl

from recmeta.datasets.ids import cleaned
from recmeta.datasets.layout import Layout
from recmeta.datasets.sheet import read_sheet
from recmeta.types import Relation, UserError

Sides = tuple[Literal["user", "item"], Literal["user", "item"]]


class RelationFile(NamedTuple):
    """The file of a relation, and its columns: the block `dataset.relations.NAME`.

    Attributes:
        file: CSV, TSV or Parquet, one edge per row.
        source, target: names of the columns of raw ids.
        weight: name of the column of weights, finite and at least 0; None: 1 for all.
        sides: what the sources and what the targets are.
    """

    file: str | os.PathLike[str]
    source: str = "source"
    target: str = "target"
    weight: str | None = None
    sides: Sides = ("user", "user")


class Edges(NamedTuple):
    """Edges by raw ids: ``ends`` has text columns ``source`` and ``target`` and float ``weight``."""

    sides: tuple[str, str]
    ends: pl.DataFrame


def read_edges(name: str, where: RelationFile, layout: Layout) -> Edges:
    """Read a relation's file.

    Raises:
        UserError: a column that is not there, an empty id, or a weight that is none, with file, line and column.
    """
    sheet, key = read_sheet(Path(where.file), layout), f"dataset.relations.{name}"
    columns: dict[str, pl.Series] = {}
    for role in ("source", "target"):
        column = getattr(where, role)
        columns[role] = cleaned(sheet.column(column, f"{key}.{role}").cast(pl.String))
        sheet.refuse(columns[role].is_null() | (columns[role] == ""), column, f"is no {role}; every edge needs one")
    columns["weight"] = pl.Series(np.ones(sheet.frame.height, np.float32))
    if where.weight is not None:
        weight = sheet.column(where.weight, f"{key}.weight").cast(pl.String).str.strip_chars()
        number = weight.cast(pl.Float64, strict=False)
        bad = number.is_null() | ~number.is_finite() | (number < 0)
        sheet.refuse(bad, where.weight, "is no weight; give a finite number of at least 0")
        columns["weight"] = number
    return Edges(where.sides, pl.DataFrame(columns))


def code_edges(edges: Edges, ids: Mapping[str, np.ndarray]) -> Relation:
    """Edges as codes, in the order of source and target; those of unknown ids are left out.

    Args:
        edges: by raw ids.
        ids: "user" and "item" -> raw ids in the order of their codes.
    """
    rows = edges.ends
    for column, side in zip(("source", "target"), edges.sides, strict=True):
        codes = pl.DataFrame(
            {column: ids[side], f"{column}_code": pl.Series(np.arange(len(ids[side]), dtype=np.int32))}
        )
        rows = rows.join(codes, on=column, how="inner")
    rows = rows.sort("source_code", "target_code", "weight")
    source, target = (rows[f"{column}_code"].to_numpy() for column in ("source", "target"))
    return Relation(edges.sides, source, target, rows["weight"].cast(pl.Float32).to_numpy())


def read_relations(relations: Mapping[str, RelationFile], layout: Layout) -> dict[str, Edges]:
    """Read the files of relations, by name.

    Raises:
        UserError: a name that could not stand in a dotted key, or whatever is wrong with a file.
    """
    for name in relations:
        if not name.isidentifier():
            raise UserError(f"dataset.relations.{name}: a relation's name must be letters, digits and underscores")
    return {name: read_edges(name, where, layout) for name, where in relations.items()}
