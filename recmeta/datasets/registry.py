"""Registry of the data sets, each with its version, sources, licence, citation and loader."""

from __future__ import annotations

from recmeta.datasets.books import BOOK_CROSSING, DOUBAN_BOOK, GOODBOOKS
from recmeta.datasets.citeulike import CITEULIKE
from recmeta.datasets.entry import Entry
from recmeta.datasets.jester import JESTER
from recmeta.datasets.lastfm import LASTFM_2K
from recmeta.datasets.ml_100k import ENTRY as ML_100K
from recmeta.datasets.movielens import ML_1M, ML_25M, ML_LATEST_SMALL, MOVIETWEETINGS
from recmeta.datasets.reviews import AMAZON_REVIEWS, YELP
from recmeta.datasets.synthetic import synthetic
from recmeta.types import UserError

__all__ = ["DATASETS", "Entry", "lookup"]

_OWN = (
    Entry(
        name="synthetic",
        version="1",
        summary="a low-rank world whose best attainable error is known; drawn, not fetched",
        load=synthetic,
    ),
    Entry(
        name="table",
        version="1",
        summary="your own CSV, TSV, JSON lines or Parquet: dataset=table dataset.interactions=FILE",
    ),
    Entry(
        name="recbole",
        version="1",
        summary="your own RecBole atomic files: dataset=recbole dataset.path=FOLDER",
    ),
)

DATASETS = {
    entry.name: entry
    for entry in (
        ML_100K,
        ML_1M,
        ML_LATEST_SMALL,
        ML_25M,
        MOVIETWEETINGS,
        BOOK_CROSSING,
        GOODBOOKS,
        DOUBAN_BOOK,
        AMAZON_REVIEWS,
        YELP,
        LASTFM_2K,
        JESTER,
        CITEULIKE,
        *_OWN,
    )
}


def lookup(name: str) -> Entry:
    """Look up a data set by name.

    Raises:
        UserError: there is no data set of that name.
    """
    if name not in DATASETS:
        raise UserError(f"no data set {name!r}; there are {', '.join(DATASETS)}")
    return DATASETS[name]
