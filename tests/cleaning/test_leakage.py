"""What a test user does, has or is never changes what is fitted, nor what is trained on."""

import hashlib
from functools import partial

import numpy as np
import polars as pl
import pytest

from recmeta.cleaning import (
    binarise,
    bucket,
    clean,
    clip,
    label_range,
    missing,
    negatives,
    standardise,
    vocabulary,
    window,
)
from recmeta.datasets.interactions import make_interactions

LISTS = {
    "none": [],
    "clip": [partial(clip, low=0.1, high=0.9)],
    "bucket": [partial(bucket, buckets=5)],
    "standardise": [partial(standardise, by="robust")],
    "vocabulary": [partial(vocabulary, least=8)],
    "all preparations": [
        partial(clip), partial(bucket, buckets=4, features=("item.year",)), partial(standardise, by="log"),
        partial(vocabulary, least=3),
    ],
    "rules": [partial(window, since=1), partial(label_range, low=1, high=5), partial(missing, features=("item.year",))],
    "implicit": [partial(binarise), partial(negatives, per_positive=1)],
}  # fmt: skip
"""Rules that count rows of others, kcore and activity, say who takes part: they are not here (`docs/cleaning.md`)."""


def planted(frames, user: str):
    """The small data set, and with a new item, new words, extreme numbers and another label at one of its users."""
    rows, users, items = frames
    label = pl.when((pl.col("user") == user) & (pl.col("label") < 4)).then(5.0).otherwise(pl.col("label"))
    row = pl.DataFrame({"user": [user], "item": ["i99"], "label": [1.0], "time": [10**6]}).cast(dict(rows.schema))
    mine = pl.col("id") == user
    users = users.with_columns(
        age=pl.when(mine).then(1e6).otherwise(pl.col("age")), job=pl.when(mine).then(pl.lit("spy")).otherwise("job")
    )
    item = pl.DataFrame({"id": ["i99"], "genre": [["planted"]], "year": [1e6]})
    return pl.concat([rows.with_columns(label=label), row]), users, pl.concat([items, item])


def artefacts(problem) -> tuple:
    """What is fitted on meta-train, and a hash of all that is trained on."""
    train = problem.train
    parts = [np.repeat(train.entity, train.size), train.start, train.size, train.row, train.label, train.time]
    parts += [values[train.entity] for values in train.contexts.values()]
    parts += [values[train.row] for values in train.entities.values()]
    digest = hashlib.sha256()
    for part in parts:
        digest.update(np.ascontiguousarray(part).tobytes())
    return problem.spec, digest.hexdigest()


@pytest.fixture
def made(frames, cut):
    """``made(name, user)``: the artefacts under a list, with something planted at a user or at nobody."""

    def make(name: str, user: str | None = None):
        rows, users, items = planted(frames, user) if user else frames
        data = make_interactions("small", rows, users=users, items=items, label_range=(1, 5), like=4)
        return cut(clean(data, steps=LISTS[name]))

    return make


@pytest.mark.parametrize("name", LISTS)
def test_what_is_planted_at_a_test_user_changes_nothing(name, made):
    before = made(name)
    after = made(name, before.names["user_cold"][0])
    assert artefacts(after) == artefacts(before)
    assert after.split.sha256 != before.split.sha256


@pytest.mark.parametrize("name", LISTS)
def test_planted_at_a_user_of_meta_train_it_does(name, made, frames):
    """So the test above can fail."""
    before = made(name)
    frame = before.split.frame
    code = frame.filter(role="train")["task"][0]
    user = frames[1]["id"].sort()[code]
    assert artefacts(made(name, user)) != artefacts(before)
