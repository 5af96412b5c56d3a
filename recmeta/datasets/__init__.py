"""Files → clean `recmeta.types.Interactions`, with user and item features. Each loader is a choice of ``dataset=``."""

from recmeta.datasets.atomic import recbole
from recmeta.datasets.books import book_crossing, douban_book, goodbooks
from recmeta.datasets.citeulike import citeulike
from recmeta.datasets.jester import jester
from recmeta.datasets.lastfm import lastfm_2k
from recmeta.datasets.ml_100k import ml_100k
from recmeta.datasets.movielens import ml_1m, ml_25m, ml_latest_small, movietweetings
from recmeta.datasets.reviews import amazon_reviews, yelp
from recmeta.datasets.synthetic import synthetic
from recmeta.datasets.table import table

__all__ = [
    "amazon_reviews",
    "book_crossing",
    "citeulike",
    "douban_book",
    "goodbooks",
    "jester",
    "lastfm_2k",
    "ml_1m",
    "ml_25m",
    "ml_100k",
    "ml_latest_small",
    "movietweetings",
    "recbole",
    "synthetic",
    "table",
    "yelp",
]
