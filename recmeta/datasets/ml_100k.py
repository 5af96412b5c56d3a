"""Loader of MovieLens 100K: 943 users, 1,682 movies, 100,000 ratings from 1 to 5, with times and features."""

from __future__ import annotations

import polars as pl
from pydantic import FiniteFloat

from recmeta.datasets.archive import Members
from recmeta.datasets.atomic import read_atomic
from recmeta.datasets.entry import Entry, PathLike, Tables, load
from recmeta.datasets.licences import GROUPLENS, MOVIELENS_PAPER
from recmeta.datasets.sources import Archive, Wheel
from recmeta.datasets.text import read_columns, split_known, without_year, year_in
from recmeta.types import Interactions

# In the order of the flags at the end of a line of u.item.
_GENRES = (
    "unknown",
    "Action",
    "Adventure",
    "Animation",
    "Children's",
    "Comedy",
    "Crime",
    "Documentary",
    "Drama",
    "Fantasy",
    "Film-Noir",
    "Horror",
    "Musical",
    "Mystery",
    "Romance",
    "Sci-Fi",
    "Thriller",
    "War",
    "Western",
)


def ml_100k(*, path: PathLike = None, like: FiniteFloat = 4.0) -> Interactions:
    """Load MovieLens 100K: ratings from 1 to 5, with times and features of users and movies.

    Users have age (numeric), gender, occupation and zip (categorical). Of the 795 zip codes only the first character is
    kept: a digit is a region of the United States, a letter one of Canada. Items have the year of release (numeric) and
    genres (multi), and the title without the year (text); the genre and the title "unknown" are none.

    Args:
        path: your own copy, in place of every source: the archive, or the folder it unpacks to.
        like: the label from which a rating counts as liked, 1 to 5.

    Raises:
        UserError: no source delivers and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
    """
    return load(ENTRY, path, read, label_range=(1.0, 5.0), like=like)


def read(members: Members) -> Tables:
    """Read the RecBole wheel's atomic files, or GroupLens' archive."""
    return _read_atomic(members) if members.has("ml-100k.inter") else _read_archive(members)


def _read_atomic(members: Members) -> Tables:
    inter, user, item = (read_atomic(members, f"ml-100k.{suffix}").frame for suffix in ("inter", "user", "item"))
    # One title ends in "(1995) (V)", where the year column holds "V".
    year = pl.col("release_year").str.extract(r"^(\d{4})$").cast(pl.Float64).fill_null(year_in(pl.col("movie_title")))
    return Tables(
        _rows(inter.rename({"user_id": "user", "item_id": "item", "rating": "label", "timestamp": "time"})),
        _users(user.rename({"user_id": "id", "zip_code": "zip"})),
        item.select(
            id="item_id",
            year=year,
            genres=split_known(pl.col("class"), " ", "unknown"),
            title=_title(pl.col("movie_title"), "unkonwn"),
        ),
        texts=["title"],
    )


def _read_archive(members: Members) -> Tables:
    """Read u.data (tabs), u.user and u.item (bars, Latin-1), without headers."""
    names = ["id", "title", "released", "video", "address", *_GENRES]
    item = read_columns(members.read("u.item"), names, separator="|", encoding="latin-1")
    marked = [pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in _GENRES[1:]]
    user = read_columns(members.read("u.user"), ["id", "age", "gender", "occupation", "zip"], separator="|")
    return Tables(
        _rows(read_columns(members.read("u.data"), ["user", "item", "label", "time"])),
        _users(user),
        item.select(
            "id",
            year=year_in(pl.col("title")),
            genres=pl.concat_list(marked),
            title=_title(pl.col("title"), "unknown"),
        ),
        texts=["title"],
    )


def _title(values: pl.Expr, unknown: str) -> pl.Expr:
    return without_year(pl.when(values != unknown).then(values))


def _rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("user", "item", pl.col("label").cast(pl.Float64), pl.col("time").cast(pl.Int64))


def _users(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("id", pl.col("age").cast(pl.Float64), "gender", "occupation", pl.col("zip").str.slice(0, 1))


ENTRY = Entry(
    name="ml_100k",
    version="1998-04",
    summary="MovieLens 100K: 943 users, 1,682 movies, 100,000 ratings 1-5 with times and features",
    licence=GROUPLENS,
    citation=MOVIELENS_PAPER,
    page="https://grouplens.org/datasets/movielens/100k/",
    published={"interactions": 100_000, "users": 943, "items": 1_682},
    sources=(
        Wheel(
            requirement="recbole==1.2.1",
            filename="recbole-1.2.1-py3-none-any.whl",
            sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
            size=2_130_151,
        ),
        Archive(
            url="https://files.grouplens.org/datasets/movielens/ml-100k.zip",
            filename="ml-100k.zip",
            sha256="50d2a982c66986937beb9ffb3aa76efe955bf3d5c6b761f4e3a7cd717c6a3229",
            size=4_924_029,
        ),
    ),
    load=ml_100k,
)
