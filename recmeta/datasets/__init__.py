"""Data sets: files → clean `recmeta.types.Interactions`, with user and item features.

Each loader is a choice of ``dataset=``: a module of its name, or one of these.
"""

from recmeta.datasets.atomic import recbole
from recmeta.datasets.books import book_crossing, douban_book, goodbooks
from recmeta.datasets.lastfm import lastfm_2k
from recmeta.datasets.movielens import ml_1m, ml_25m, ml_latest_small, movietweetings
from recmeta.datasets.reviews import amazon_reviews, yelp

__all__ = [
    "amazon_reviews",
    "book_crossing",
    "douban_book",
    "goodbooks",
    "lastfm_2k",
    "ml_1m",
    "ml_25m",
    "ml_latest_small",
    "movietweetings",
    "recbole",
    "yelp",
]
