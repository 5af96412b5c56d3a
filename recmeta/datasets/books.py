"""Loaders of Book-Crossing, goodbooks-10k and Douban Book."""

from __future__ import annotations

import polars as pl
from pydantic import FiniteFloat

from recmeta.datasets.archive import Members
from recmeta.datasets.entry import Entry, PathLike, Tables, load
from recmeta.datasets.sources import Archive
from recmeta.datasets.text import read_columns, read_lines
from recmeta.types import Interactions

_AGES = (5.0, 100.0)

_YEARS = (1000.0, 2006.0)


def book_crossing(*, path: PathLike = None, like: FiniteFloat = 8.0, explicit: bool = True) -> Interactions:
    """Load Book-Crossing: ratings of books, 1 to 10; ratings of 0 ("no rating given") are left out and counted.

    Users have age (numeric; below 5 and above 100 is unknown) and country (categorical: the end of their location).
    Items have author and publisher (categorical) and year (numeric; before 1000 and after 2006 is unknown). An item's
    id is its ISBN unchanged, so one book may have several. There are no times.

    Args:
        path: your own copy, in place of every source: the archive, or the folder it unpacks to.
        like: the label from which a rating counts as liked, 1 to 10.
        explicit: leave ratings of 0 out; if false, they are labels of 0.

    Raises:
        UserError: no source delivers and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Ziegler, McNee, Konstan and Lausen, Improving Recommendation Lists Through Topic Diversification, WWW 2005.
    """
    return load(
        BOOK_CROSSING,
        path,
        lambda members: read_book_crossing(members, explicit),
        label_range=(1.0 if explicit else 0.0, 10.0),
        like=like,
    )


def goodbooks(*, path: PathLike = None, like: FiniteFloat = 4.0) -> Interactions:
    """Load goodbooks-10k: ratings, 1 to 5, of the ten thousand books with the most ratings.

    Users have no features. Items have authors (multi), year (numeric), language (categorical) and title (text). There
    are no times: the makers state that rows are sorted by time, which is not used.

    Args:
        path: your own copy, in place of every source: the archive, or the folder it unpacks to.
        like: the label from which a rating counts as liked, 1 to 5.

    Raises:
        UserError: the source does not deliver and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Zając, Goodbooks-10k: a new dataset for book recommendations, FastML, 2017.
    """
    return load(GOODBOOKS, path, read_goodbooks, label_range=(1.0, 5.0), like=like)


def douban_book(*, path: PathLike = None, like: FiniteFloat = 4.0) -> Interactions:
    """Load Douban Book, as published for work on heterogeneous networks: ratings of books, 1 to 5.

    Users have location and groups, items author, publisher and year; all are codes, also the year, and multi, as some
    entities have several. There are no times. Ties between users are not read.

    Args:
        path: your own copy, in place of every source: the archive, or the folder ``Douban Book`` of it.
        like: the label from which a rating counts as liked, 1 to 5.

    Raises:
        UserError: the source does not deliver and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Shi, Hu, Zhao and Yu, Heterogeneous Information Network Embedding for Recommendation, TKDE 2019.
    """
    return load(DOUBAN_BOOK, path, read_douban_book, label_range=(1.0, 5.0), like=like)


def read_book_crossing(members: Members, explicit: bool) -> Tables:
    """Read ``BX-*.csv``: Latin-1, ``;`` between quoted values, where a value may hold ``;`` and ``\\"``.

    No quoting rule reads all lines, so each line is matched by a pattern; features of a line that does not match are
    unknown.
    """
    rating = r'^"(?P<user>[^"]*)";"(?P<item>.*)";"(?P<label>\d+)"$'
    rows = _matched(members, "BX-Book-Ratings.csv", rating).with_columns(pl.col("label").cast(pl.Float64))
    kept = rows.filter(pl.col("label") > 0) if explicit else rows
    users = _matched(members, "BX-Users.csv", r'^"(?P<id>\d+)";"(?P<place>.*)";(?:NULL|"(?P<age>\d+)")$')
    inside = r'[^"]*(?:\\"[^"]*)*'
    books = _matched(
        members,
        "BX-Books.csv",
        rf'^"(?P<id>[^"]*)";"{inside}";"(?P<author>{inside})";"(?P<year>\d+)";"(?P<publisher>{inside})";"http',
    )
    return Tables(
        kept,
        users.select("id", _between("age", *_AGES), country=pl.col("place").str.extract(r"([^,]*)$").str.strip_chars()),
        books.select("id", "author", _between("year", *_YEARS), "publisher").unique("id", keep="first"),
        dropped={"implicit": len(rows) - len(kept)} if explicit else {},
        notes=[f"{len(rows) - len(kept)} ratings of 0 say that none was given: left out"] if explicit else [],
    )


def read_goodbooks(members: Members) -> Tables:
    """Read ``ratings.csv`` and ``books.csv``, which have headers."""
    books = read_columns(members.read("books.csv"), separator=",", quote='"')
    return Tables(
        read_columns(members.read("ratings.csv"), separator=",").select(
            user="user_id", item="book_id", label=pl.col("rating").cast(pl.Float64)
        ),
        items=books.select(
            id="book_id",
            authors=pl.col("authors").str.split(", "),
            year=pl.col("original_publication_year").cast(pl.Float64),
            language="language_code",
            title="title",
        ),
        texts=["title"],
    )


def read_douban_book(members: Members) -> Tables:
    """Read pairs of codes in tab-separated files without headers; a third column, if any, is a weight.

    The archive holds other sets too, one per folder.
    """

    inside = "Douban Book/" if members.has("Douban Book/user_book.dat") else ""
    notes: list[str] = []

    def several(side: str, *features: str) -> pl.DataFrame:
        table = pl.DataFrame(schema={"id": pl.String})
        for feature in features:
            filename = f"{inside}{side}_{feature}.dat"
            if not members.has(filename):
                notes.append(f"there is no {side}_{feature}.dat: {side}s have no {feature}")
                continue
            content = members.read(filename)
            width = len(content.partition(b"\n")[0].split(b"\t"))
            pairs = read_columns(content, ["id", feature, "weight"][:width])
            listed = pairs.group_by("id").agg(pl.col(feature).unique().sort())
            table = table.join(listed, on="id", how="full", coalesce=True)
        return table.sort("id")

    rows = read_columns(members.read(f"{inside}user_book.dat"), ["user", "item", "label"])
    return Tables(
        rows.with_columns(pl.col("label").cast(pl.Float64)),
        several("user", "location", "group"),
        several("book", "author", "publisher", "year"),
        notes=notes,
    )


def _matched(members: Members, filename: str, pattern: str) -> pl.DataFrame:
    """The named groups of the lines that match, without the header."""
    lines = read_lines(members.read(filename), "latin-1").slice(1)
    found = lines.str.extract_groups(pattern).struct.unnest()
    return found.filter(pl.col(found.columns[0]).is_not_null())


def _between(column: str, low: float, high: float) -> pl.Expr:
    number = pl.col(column).cast(pl.Float64)
    return pl.when(number.is_between(low, high)).then(number).alias(column)


BOOK_CROSSING = Entry(
    name="book_crossing",
    version="2004-09",
    summary="Book-Crossing: 433,671 explicit ratings 1-10 of books, with users' age and country; no times",
    licence=(
        '"Freely available for research use when acknowledged with the following reference" (Ziegler et al., below), '
        "as the archive's description says."
    ),
    citation=(
        "Cai-Nicolas Ziegler, Sean M. McNee, Joseph A. Konstan and Georg Lausen. 2005. Improving Recommendation Lists "
        "Through Topic Diversification. WWW '05, 22-32. doi:10.1145/1060745.1060754"
    ),
    page="http://www2.informatik.uni-freiburg.de/~cziegler/BX/",
    sources=(
        # The md5 was recorded by a public repository of book data. The address no longer answers everyone.
        Archive(
            url="http://www2.informatik.uni-freiburg.de/~cziegler/BX/BX-CSV-Dump.zip",
            filename="BX-CSV-Dump.zip",
            md5="37d647ee9e18ba134ea6d78ee4fe5292",
        ),
        # Another archive of the same files.
        Archive(
            url="https://cdn.freecodecamp.org/project-data/books/book-crossings.zip",
            filename="book-crossings.zip",
        ),
    ),
    load=book_crossing,
)

GOODBOOKS = Entry(
    name="goodbooks",
    version="1.0",
    summary="goodbooks-10k: 53,424 users, 10,000 books, 5,976,479 ratings 1-5 with book features; no times",
    licence="Creative Commons Attribution-ShareAlike 4.0 International.",
    citation=(
        "Zygmunt Zając. 2017. Goodbooks-10k: a new dataset for book recommendations. FastML. "
        "http://fastml.com/goodbooks-10k"
    ),
    page="https://github.com/zygmuntz/goodbooks-10k",
    published={"interactions": 5_976_479, "users": 53_424, "items": 10_000},
    sources=(
        Archive(
            url="https://github.com/zygmuntz/goodbooks-10k/releases/download/v1.0/goodbooks-10k.zip",
            filename="goodbooks-10k.zip",
        ),
    ),
    load=goodbooks,
)

DOUBAN_BOOK = Entry(
    name="douban_book",
    version="master",
    summary="Douban Book: 13,024 users, 22,347 books, 792,062 ratings 1-5 with codes as features; no times",
    licence="None is stated; published by researchers, for research.",
    citation=(
        "Chuan Shi, Binbin Hu, Wayne Xin Zhao and Philip S. Yu. 2019. Heterogeneous Information Network Embedding for "
        "Recommendation. IEEE TKDE 31, 2, 357-370. doi:10.1109/TKDE.2018.2833443"
    ),
    page="https://github.com/librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding",
    published={"interactions": 792_062, "users": 13_024, "items": 22_347},
    sources=(
        Archive(
            url="https://github.com/librahu/HIN-Datasets-for-Recommendation-and-Network-Embedding/archive/refs/heads/"
            "master.zip",
            filename="HIN-Datasets-for-Recommendation-and-Network-Embedding-master.zip",
        ),
    ),
    load=douban_book,
)
