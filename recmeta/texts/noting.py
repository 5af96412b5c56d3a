"""Note a preparation on the text columns of a data set."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import replace

from recmeta.features.text import text
from recmeta.types import Column, Entities, Interactions, Preparation, UserError


def with_texts(data: Interactions, preparation: Preparation) -> Interactions:
    """Note a preparation on every text column that has none of its own.

    Args:
        data: the cleaned data set.
        preparation: of the config's choice of ``text``.

    Raises:
        UserError: no user and no item has a text.
    """
    users, items = (_noted(side, entities, preparation) for side, entities in _sides(data))
    made = replace(data, users=users, items=items)
    if next(_prepared(made), None) is None:
        kinds = (f"{side}.{name} ({one.kind})" for side, each in _sides(data) for name, one in each.features.items())
        there = ", ".join(kinds)
        raise UserError(
            f"text: {data.name} has no text for {preparation.name} to read; its features are {there or 'none'}; set "
            "text=none, or declare a text (docs/text.md)"
        )
    return made


def files_hash(data: Interactions) -> str:
    """Hash the files that the preparations of a data set read beside it; "" where there are none."""
    read = sorted({each.sha256 for column in _columns(data) for each in column.preparations if each.sha256})
    return hashlib.sha256(" ".join(read).encode()).hexdigest() if read else ""


def _noted(side: str, entities: Entities, preparation: Preparation) -> Entities:
    def one(name: str, column: Column) -> Column:
        if not _is_text(column):
            return column
        return replace(column, preparations=(preparation._replace(name=f"{preparation.name} {side}.{name}"),))

    features: Mapping[str, Column] = {name: one(name, column) for name, column in entities.features.items()}
    return replace(entities, features=features)


def _is_text(column: Column) -> bool:
    return column.kind == text.name and not column.preparations


def _prepared(data: Interactions) -> Iterator[Column]:
    return (column for column in _columns(data) if column.kind == text.name and column.preparations)


def _columns(data: Interactions) -> Iterator[Column]:
    return (column for _, entities in _sides(data) for column in entities.features.values())


def _sides(data: Interactions) -> tuple[tuple[str, Entities], tuple[str, Entities]]:
    return ("user", data.users), ("item", data.items)
