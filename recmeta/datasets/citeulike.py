"""Loader of CiteULike-a: articles that people keep in their libraries."""

from __future__ import annotations

from typing import Annotated

import polars as pl
from annotated_types import Ge

from recmeta.datasets.archive import Members
from recmeta.datasets.entry import Entry, PathLike, Tables, load
from recmeta.datasets.sources import Archive
from recmeta.datasets.text import shared
from recmeta.types import Interactions


def citeulike(*, path: PathLike = None, tag_items: Annotated[int, Ge(1)] = 5) -> Interactions:
    """Load CiteULike-a: articles that users keep. Every label is 1, so a protocol must draw negatives.

    Users have no features. Items have tags (multi), which the users gave. The words of the abstracts and the citations
    are not read. There are no times. Ids are the numbers of lines, from 0.

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
    """Read ``users.dat`` and ``item-tag.dat``: a line is a count, followed by that many numbers."""
    kept = _pairs(members.read("users.dat"), "user", "item")
    tags = shared(_pairs(members.read("item-tag.dat"), "id", "tags"), "id", "tags", tag_items)
    return Tables(
        kept.with_columns(label=pl.lit(1.0)),
        items=tags,
        notes=["every label is 1: a protocol must draw negatives (articles not kept)"],
    )


def _pairs(content: bytes, line: str, entry: str) -> pl.DataFrame:
    """Parse a list per line, whose first number is its length, into (number of the line, entry) pairs."""
    # Not `read_lines`: a line's number is its id, so that an empty one counts.
    text = pl.Series(entry, content.decode().rstrip("\r\n").split("\n")).str.strip_chars()
    entries = text.str.split(" ").list.slice(1).to_frame().with_row_index(line)
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
