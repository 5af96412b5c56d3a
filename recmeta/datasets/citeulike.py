"""Loader of CiteULike-a: articles that people keep in their libraries."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from annotated_types import Ge

from recmeta.datasets.archive import Members
from recmeta.datasets.entry import Entry, PathLike, Tables, load
from recmeta.datasets.relations import Edges
from recmeta.datasets.sources import Archive
from recmeta.datasets.text import read_columns, shared
from recmeta.types import Interactions

TEXTS = "raw-data.csv"
"""The file of titles and abstracts."""


def citeulike(*, path: PathLike = None, tag_items: Annotated[int, Ge(1)] = 5) -> Interactions:
    """Load CiteULike-a: articles that users keep. Every label is 1, so a protocol must draw negatives.

    Users have no features. Items have tags (multi), the words that users gave, and where the archive has them, title
    and abstract (text). ``cites`` is a relation between items, in both directions. There are no times. Ids are the
    numbers of lines, from 0.

    Args:
        path: your own copy, in place of every source: the archive, or the folder it unpacks to.
        tag_items: the fewest articles that a tag must have been given to; the paper uses 5.

    Raises:
        UserError: the source does not deliver and nothing is cached, or the file is damaged.

    Reference:
        Wang, Chen and Li, Collaborative Topic Regression with Social Regularization for Tag Recommendation, IJCAI 2013.
    """
    return load(CITEULIKE, path, lambda members: read(members, tag_items), label_range=(0.0, 1.0), like=1.0)


def read(members: Members, tag_items: int) -> Tables:
    """Read the lists, in which a line is a count, followed by that many numbers; and the texts, if they are there."""
    kept = _pairs(members.read("users.dat"), "user", "item")
    given = _pairs(members.read("item-tag.dat"), "id", "tag")
    words = _lines(members.read("tags.dat"), "tags").to_frame().with_row_index("tag").cast({"tag": pl.String})
    items = shared(given.join(words, on="tag", how="left"), "id", "tags", tag_items)
    cited = _pairs(members.read("citations.dat"), "source", "target").with_columns(weight=pl.lit(1.0))
    notes = ["every label is 1: a protocol must draw negatives (articles not kept)"]
    if members.has(TEXTS):
        items = items.join(_texts(members.read(TEXTS)), on="id", how="full", coalesce=True)
    else:
        notes.append(f"there is no {TEXTS} in {members.path.name}: articles have no title and no abstract")
    return Tables(
        kept.with_columns(label=pl.lit(1.0)),
        items=items,
        notes=notes,
        texts=["title", "abstract"],
        relations={"cites": Edges(("item", "item"), cited)},
    )


def _texts(content: bytes) -> pl.DataFrame:
    """Read titles and abstracts, whose articles are counted from 1."""
    frame = read_columns(content, separator=",", quote='"', encoding="latin-1")
    number = (pl.col("doc.id").cast(pl.Int64) - 1).cast(pl.String)
    return frame.select(id=number, title="raw.title", abstract="raw.abstract")


def _lines(content: bytes, name: str) -> pl.Series:
    """The lines of a file, empty ones too: a line's number is its id."""
    return pl.Series(name, content.decode().rstrip("\r\n").split("\n")).str.strip_chars()


def _pairs(content: bytes, line: str, entry: str) -> pl.DataFrame:
    """Parse a list per line, whose first number is its length, into (number of the line, entry) pairs."""
    entries = _lines(content, entry).str.split(" ").list.slice(1).to_frame().with_row_index(line)
    return entries.select(pl.col(line).cast(pl.String), entry).explode(entry).drop_nulls()


CITEULIKE = Entry(
    name="citeulike",
    version="a",
    summary="CiteULike-a: 5,551 users, 16,980 articles, 204,987 kept articles, with tags; likes only, no times",
    licence="None is stated; collected from CiteULike by its makers, for research.",
    citation=(
        "Hao Wang, Binyi Chen and Wu-Jun Li. 2013. Collaborative Topic Regression with Social Regularization for Tag "
        "Recommendation. IJCAI 2013, 2719-2725."
    ),
    page="https://github.com/js05212/citeulike-a",
    published={"users": 5_551, "items": 16_980},
    sources=(
        # As a public library of data sets checks it; the archive is made on demand, and may come to differ.
        Archive(
            url="https://github.com/js05212/citeulike-a/archive/refs/heads/master.zip",
            filename="citeulike-a-master.zip",
            sha256="d47993abf270e0366536c94a9c31c512082b124ad6039b3779b519aa8ab4e96e",
        ),
    ),
    load=citeulike,
)
