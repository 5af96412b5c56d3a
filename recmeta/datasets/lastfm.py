"""Loader of Last.fm 2K, of HetRec 2011: play counts of artists."""

from __future__ import annotations

from typing import Annotated, Literal

import polars as pl
from annotated_types import Ge
from pydantic import FiniteFloat

from recmeta.datasets.archive import Members
from recmeta.datasets.entry import Entry, PathLike, Tables, load
from recmeta.datasets.sources import Archive
from recmeta.datasets.text import read_columns
from recmeta.types import Interactions, UserError

_MOST = 6.0
"""The common logarithm of a million plays, more than anyone has."""


def lastfm_2k(
    *,
    path: PathLike = None,
    label: Literal["log", "one"] = "log",
    like: FiniteFloat | None = None,
    tag_users: Annotated[int, Ge(1)] = 5,
) -> Interactions:
    """Load Last.fm 2K: at most 50 artists of each user, the most listened to, with the number of plays.

    Users have no features. Items have tags (multi), which the users gave: they exist only once somebody has listened,
    and a tag may come from a test user. There are no times of listening.

    Args:
        path: your own copy, in place of every source: the archive, or the folder it unpacks to.
        label: "log", the common logarithm of the plays, 0 to 6; or "one", 1 for every artist, under which a protocol
            must draw negatives.
        like: the label from which an artist counts as liked; null: 2.5, some 300 plays, or 1.
        tag_users: the fewest users that must have given an artist a tag.

    Raises:
        UserError: no source delivers and nothing is cached, the file is damaged, or ``like`` is out of range.

    Reference:
        Cantador, Brusilovsky and Kuflik, 2nd Workshop on Information Heterogeneity and Fusion in Recommender Systems
        (HetRec 2011), RecSys 2011.
    """
    liked = (2.5 if label == "log" else 1.0) if like is None else like
    return load(
        LASTFM_2K,
        path,
        lambda members: read(members, label, tag_users),
        label_range=(0.0, _MOST if label == "log" else 1.0),
        like=liked,
    )


def read(members: Members, label: str, tag_users: int) -> Tables:
    """Read ``user_artists.dat``, ``user_taggedartists.dat`` and ``tags.dat``: tabs, with headers.

    Raises:
        UserError: a number of plays is out of its range.
    """
    listened = read_columns(members.read("user_artists.dat"))
    plays = listened["weight"].cast(pl.Float64)
    if not plays.is_between(1, 10**_MOST).all():
        raise UserError(f"{members.path}, user_artists.dat: a weight is not from 1 to {10**_MOST:,.0f} plays")
    labels = plays.log10() if label == "log" else plays * 0 + 1
    # A band's tags are written in the users' own languages, and not all in one encoding.
    names = read_columns(members.read("tags.dat"), encoding="latin-1")
    given = read_columns(members.read("user_taggedartists.dat")).select("userID", "artistID", "tagID").unique()
    counted = given.group_by("artistID", "tagID").len().filter(pl.col("len") >= tag_users)
    tagged = counted.join(names, on="tagID", how="left").group_by("artistID").agg(pl.col("tagValue").sort())
    return Tables(
        listened.select(user="userID", item="artistID").with_columns(labels.alias("label")),
        items=tagged.select(id="artistID", tags="tagValue").sort("id"),
        notes=[] if label == "log" else ["every label is 1: a protocol must draw negatives (artists not listened to)"],
    )


LASTFM_2K = Entry(
    name="lastfm_2k",
    version="2011-05",
    summary="Last.fm 2K (HetRec 2011): 1,892 users, 17,632 artists, 92,834 play counts, with tags; no times",
    licence=(
        "Non-commercial use only; for commercial use, Last.fm is to be asked (its README). Neither the university nor "
        "the makers warrant it, and none may be said to endorse what is made of it."
    ),
    citation=(
        "Iván Cantador, Peter Brusilovsky and Tsvi Kuflik. 2011. 2nd Workshop on Information Heterogeneity and Fusion "
        "in Recommender Systems (HetRec 2011). RecSys '11. doi:10.1145/2043932.2044016"
    ),
    page="https://grouplens.org/datasets/hetrec-2011/",
    published={"interactions": 92_834, "users": 1_892, "items": 17_632},
    sources=(
        # Several public repositories, which recorded it independently, agree on this sha256.
        Archive(
            url="https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip",
            filename="hetrec2011-lastfm-2k.zip",
            sha256="6738f48195667ff03caaab4d32ca9a3133d8cc026b7c3cdaf6ce1010e913c59c",
        ),
    ),
    load=lastfm_2k,
)
