"""Loaders of review data sets with stars: Amazon reviews of 2014, 2018 or 2023, and Yelp's open data set."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import polars as pl
from pydantic import FiniteFloat, StringConstraints

from recmeta.datasets.amazon_files import amazon_file
from recmeta.datasets.archive import Members
from recmeta.datasets.entry import Entry, PathLike, Tables, load, read_members
from recmeta.datasets.sources import ByHand
from recmeta.datasets.text import read_columns, read_json_lines
from recmeta.types import Interactions, UserError

_EDITIONS = {
    # Reviews of 2014 have the same fields.
    "2018": {"user": "reviewerID", "item": "asin", "label": "overall", "time": "unixReviewTime"},
    "2023": {"user": "user_id", "item": "parent_asin", "label": "rating", "time": "timestamp"},
}
"""Names of a review's fields. The times of 2018 are seconds, those of 2023 milliseconds."""

_REVIEWER, _PRODUCT = r"^A[0-9A-Z]{10,}$", r"^[0-9A-Z]{10}$"
"""The shapes of ids by which users and items are told apart: A and ten characters or more, and ten characters."""

_SURE, _LOOKED_AT = 0.9, 100_000
"""The share of ids that must have their shape, and of how many rows, evenly spread, it is taken."""

_TYPES = {"user": pl.String, "item": pl.String, "label": pl.Float64, "time": pl.Int64}


def amazon_reviews(
    *,
    category: Annotated[str, StringConstraints(pattern=r"^[A-Za-z_]+$")] = "All_Beauty",
    edition: Literal[2018, 2023] = 2023,
    path: PathLike = None,
    items: PathLike = None,
    like: FiniteFloat = 4.0,
) -> Interactions:
    """Load one category of the Amazon reviews: stars, 1 to 5, with times.

    Users have no features. With ``items``, items have brand and main_category (categorical), categories (multi) and
    title (text); averages and numbers of ratings are not read, as they contain the labels to be predicted. Most users
    have one review: a protocol will leave most of them out. Of several reviews of an item by a user the latest is kept.

    Args:
        category: in the makers' spelling, Digital_Music; the rating-only file is fetched.
        edition: the year of the collection.
        path: your own copy, in place of the source: ratings only (.csv) or reviews (.json, .jsonl), compressed or not,
            of any edition, that of 2014 too: stars without a header have the user first there, and in 2018 the item,
            which is told by the shapes of ids and said.
        items: your own copy of the category's metadata (.json, .jsonl), compressed or not; null: no features.
        like: the label from which a review counts as liked, 1 to 5.

    Raises:
        UserError: the source does not deliver and nothing is cached, a file is damaged, or ``like`` is out of range.

    Reference:
        Ni, Li and McAuley, Justifying Recommendations Using Distantly-Labeled Reviews and Fine-Grained Aspects, EMNLP
        2019 (2018); Hou et al., Bridging Language and Items for Retrieval and Recommendation, arXiv 2403.03952 (2023).
    """
    entry = replace(AMAZON_REVIEWS, sources=(amazon_file(edition, category),))

    def read(members: Members) -> Tables:
        features = None
        if items is not None:
            features = read_members("metadata of Amazon reviews", Path(items).expanduser(), read_amazon_items).items
        rows, note = read_amazon(members)
        return Tables(rows, items=features, notes=[note], texts=["title"])

    return load(entry, path, read, label_range=(1.0, 5.0), like=like)


def yelp(*, path: PathLike = None, like: FiniteFloat = 4.0) -> Interactions:
    """Load Yelp's open data set: stars, 1 to 5, of businesses, with times. Yelp's terms must be accepted first.

    Users have no features. Businesses have categories (multi), city and state (categorical): averages and numbers of
    reviews are not read, as they contain the labels to be predicted. Of several reviews of a business by a user the
    latest is kept.

    Args:
        path: your own copy, in place of the cached one: ``yelp_dataset.tar``, or a folder with its files.
        like: the label from which a review counts as liked, 1 to 5.

    Raises:
        UserError: nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        https://business.yelp.com/data/resources/open-dataset/
    """
    return load(YELP, path, read_yelp, label_range=(1.0, 5.0), like=like)


def read_amazon(members: Members) -> tuple[pl.DataFrame, str]:
    """Read interactions in any of the five formats, recognised by the beginning of the file and by the shapes of ids.

    Returns:
        The rows, and a line about the edition they were taken for.

    Raises:
        UserError: it holds several files, or nothing tells users from items.
    """
    if len(members.names) != 1:
        raise UserError(f"{members.path}: must be one file of reviews, and holds {len(members.names)}")
    name = members.names[0]
    with members.open(name) as file:
        start = file.read(1 << 16)
    if start.lstrip().startswith(b"{"):
        edition = "2023" if b'"parent_asin"' in start else "2018"
        note = f"{name}: reviews of {edition if edition == '2023' else '2014 or 2018'}"
        fields = _EDITIONS[edition]
        with members.open(name) as file:
            frame = read_json_lines(file, {field: _TYPES[role] for role, field in fields.items()})
        frame = frame.rename({field: role for role, field in fields.items()})
    elif start.startswith(b"user_id,"):
        edition, note = "2023", f"{name}: stars of 2023: user, item, stars, time"
        frame = read_columns(members.read(name), separator=",").rename({v: k for k, v in _EDITIONS[edition].items()})
    else:
        frame = read_columns(members.read(name), ["first", "second", "label", "time"], separator=",")
        edition, order = _headless(f"{members.path}, {name}", frame)
        note = f"{name}: no header, and taken for stars of {edition} by the shapes of ids ({', '.join(order)})"
        frame = frame.rename(dict(zip(("first", "second"), order, strict=True)))
    seconds = pl.col("time").cast(pl.Int64) // (1000 if edition == "2023" else 1)
    return frame.select("user", "item", pl.col("label").cast(pl.Float64), seconds), note


def _headless(where: str, frame: pl.DataFrame) -> tuple[str, tuple[str, str]]:
    """Recognise the edition of stars without a header, and the order of its users and items.

    Raises:
        UserError: the ids do not say which of them are users and which items.
    """
    some = frame.select("first", "second").gather_every(max(1, frame.height // _LOOKED_AT))

    def share(column: str, shape: str) -> float:
        return float(some[column].str.contains(shape).mean() or 0)  # pyright: ignore[reportArgumentType]

    for edition, order in (("2014", ("user", "item")), ("2018", ("item", "user"))):
        places = dict(zip(order, ("first", "second"), strict=True))
        if min(share(places["user"], _REVIEWER), share(places["item"], _PRODUCT)) >= _SURE:
            return edition, order
    raise UserError(
        f"{where}: no header, and the ids do not say which column is the user: {some['first'][0]!r}, "
        f"{some['second'][0]!r}; a user's is A and ten characters or more, an item's has ten. Read it by "
        "dataset=table, where columns are named"
    )


def read_amazon_items(members: Members) -> Tables:
    """Read features from a metadata file of either edition."""
    words = ("asin", "parent_asin", "brand", "store", "main_cat", "main_category", "title")
    lists = ("category", "categories")
    schema = {**dict.fromkeys(words, pl.String()), **dict.fromkeys(lists, pl.List(pl.String))}
    with members.open(members.names[0]) as file:
        frame = read_json_lines(file, schema)
    table = frame.select(
        id=pl.coalesce("parent_asin", "asin"),
        brand=pl.coalesce("store", "brand"),
        main_category=pl.coalesce("main_category", "main_cat"),
        categories=pl.coalesce("categories", "category"),
        title="title",
    )
    return Tables(pl.DataFrame(), items=table.unique("id", keep="first", maintain_order=True))


def read_yelp(members: Members) -> Tables:
    """Read ``yelp_academic_dataset_review.json`` and ``..._business.json``: an object per line."""
    fields = {"user_id": pl.String, "business_id": pl.String, "stars": pl.Float64, "date": pl.String}
    with members.open("yelp_academic_dataset_review.json") as file:
        reviews = read_json_lines(file, fields)
    with members.open("yelp_academic_dataset_business.json") as file:
        places = read_json_lines(file, dict.fromkeys(("business_id", "categories", "city", "state"), pl.String))
    moment = pl.col("date").str.to_datetime("%Y-%m-%d %H:%M:%S").dt.epoch("s")
    return Tables(
        reviews.select(user="user_id", item="business_id", label="stars", time=moment),
        items=places.select("city", "state", id="business_id", categories=pl.col("categories").str.split(", ")).select(
            "id", "categories", "city", "state"
        ),
    )


AMAZON_REVIEWS = Entry(
    name="amazon_reviews",
    version="2023",
    summary="Amazon reviews, any category of 2018 or 2023, stars 1-5 with times (dataset.category, dataset.edition)",
    licence="None is stated; published by the McAuley Lab for research. The reviews are their writers' and Amazon's.",
    citation=(
        "Yupeng Hou, Jiacheng Li, Zhankui He, An Yan, Xiusi Chen and Julian McAuley. 2024. Bridging Language and Items "
        "for Retrieval and Recommendation. arXiv:2403.03952. For 2018: Jianmo Ni, Jiacheng Li and Julian McAuley. "
        "2019. Justifying Recommendations Using Distantly-Labeled Reviews and Fine-Grained Aspects. EMNLP-IJCNLP 2019."
    ),
    page="https://amazon-reviews-2023.github.io/",
    sources=(amazon_file(2023, "All_Beauty"),),
    load=amazon_reviews,
)

YELP = Entry(
    name="yelp",
    version="open",
    summary="Yelp's open data set: about 7 million reviews, stars 1-5, with times; terms to be accepted by hand",
    licence=(
        "Yelp's Dataset Terms of Use, to be accepted on its page: academic and personal use, no redistribution, no "
        "commercial use."
    ),
    citation="Yelp Open Dataset, https://business.yelp.com/data/resources/open-dataset/",
    page="https://business.yelp.com/data/resources/open-dataset/",
    sources=(ByHand(page="https://business.yelp.com/data/resources/open-dataset/", filename="yelp_dataset.tar"),),
    load=yelp,
)
