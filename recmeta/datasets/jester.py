"""Loader of Jester, the second data set: ratings of jokes on a continuous scale."""

from __future__ import annotations

import polars as pl
from pydantic import FiniteFloat

from recmeta.datasets.archive import Members
from recmeta.datasets.entry import Entry, PathLike, Tables, load
from recmeta.datasets.sources import Archive
from recmeta.datasets.text import read_columns
from recmeta.types import Interactions


def jester(*, path: PathLike = None, like: FiniteFloat = 5.0) -> Interactions:
    """Load Jester: ratings of 150 jokes, -10 to 10, by users without any earlier ratings.

    Neither users nor items have features: the texts of the jokes are not read. There are no times.

    Args:
        path: your own copy, in place of every source: the archive, or the folder it unpacks to.
        like: the label from which a rating counts as liked, -10 to 10.

    Raises:
        UserError: no source delivers and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Goldberg, Roeder, Gupta and Perkins, Eigentaste: A Constant Time Collaborative Filtering Algorithm, 2001.
    """
    return load(JESTER, path, read, label_range=(-10.0, 10.0), like=like)


def read(members: Members) -> Tables:
    """Read ``jester_ratings.dat``: two tabs between values, no header."""
    rows = read_columns(members.read("jester_ratings.dat"), ["user", "item", "label"], separator="\t\t")
    return Tables(rows.with_columns(pl.col("label").cast(pl.Float64)))


# The sha256 is that of the copy in a web archive, as a public library of data sets checks it.
_SHA256 = "5c2b9fb8346fc132ac1be6a9264fef9a6d153da68f3201839ac25c19f9a59a09"

JESTER = Entry(
    name="jester",
    version="2",
    summary="Jester 2: 59,132 users, 150 jokes, about 1.7 million ratings -10 to 10; no features, no times",
    licence='"Freely available for research use when acknowledged", as the makers\' page says.',
    citation=(
        "Ken Goldberg, Theresa Roeder, Dhruv Gupta and Chris Perkins. 2001. Eigentaste: A Constant Time Collaborative "
        "Filtering Algorithm. Information Retrieval 4, 2, 133-151."
    ),
    page="https://eigentaste.berkeley.edu/dataset/",
    published={"users": 59_132},
    sources=(
        Archive(
            url="https://eigentaste.berkeley.edu/dataset/archive/jester_dataset_2.zip",
            filename="jester_dataset_2.zip",
            sha256=_SHA256,
        ),
        Archive(
            url="https://web.archive.org/web/20250409222630id_/"
            "https://eigentaste.berkeley.edu/dataset/archive/jester_dataset_2.zip",
            filename="jester_dataset_2.zip",
            sha256=_SHA256,
        ),
    ),
    load=jester,
)
