"""What is known of each data set: version, sources, licence, citation."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from recmeta.datasets.fetch import Source
from recmeta.datasets.ml_100k import CITATION, LICENCE, SOURCES, ml_100k
from recmeta.datasets.synthetic import synthetic
from recmeta.types import Interactions, UserError


@dataclass(frozen=True)
class Entry:
    """A data set, described.

    Attributes:
        name: what ``dataset=`` takes.
        version: of the data.
        summary: one line.
        licence, citation: "" where there is none.
        sources: in the order in which they are tried; none where nothing is fetched.
        load: makes the Interactions with default settings; None where it needs the user's files.
    """

    name: str
    version: str
    summary: str
    licence: str = ""
    citation: str = ""
    sources: tuple[Source, ...] = ()
    load: Callable[[], Interactions] | None = None


DATASETS = {
    entry.name: entry
    for entry in (
        Entry(
            name="ml_100k",
            version="1998-04",
            summary="MovieLens 100K: 943 users, 1,682 movies, 100,000 ratings 1-5 with times and features",
            licence=LICENCE,
            citation=CITATION,
            sources=SOURCES,
            load=ml_100k,
        ),
        Entry(
            name="synthetic",
            version="1",
            summary="a low-rank world whose best attainable error is known; drawn, not fetched",
            load=synthetic,
        ),
        Entry(
            name="table",
            version="1",
            summary="your own CSV, TSV or Parquet: dataset=table dataset.interactions=FILE",
        ),
    )
}


def lookup(name: str) -> Entry:
    """The data set of that name.

    Raises:
        UserError: there is none.
    """
    if name not in DATASETS:
        raise UserError(f"no data set {name!r}; there are {', '.join(DATASETS)}")
    return DATASETS[name]
