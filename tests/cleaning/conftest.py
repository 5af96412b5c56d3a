from dataclasses import replace

import numpy as np
import polars as pl
import pytest


@pytest.fixture
def tiny():
    """``tiny("a1 a2 b1")``: a row per word, one character being the user's and the rest the item's; else as said."""
    from recmeta.datasets.interactions import make_interactions

    def make(words: str, label=None, time=None, **settings):
        pairs = words.split()
        columns = {"user": [pair[0] for pair in pairs], "item": [pair[1:] for pair in pairs]}
        columns["label"] = [float(value) for value in label or [1] * len(pairs)]
        if time is not None:
            columns["time"] = time
        return make_interactions("tiny", pl.DataFrame(columns), **{"label_range": (0, 5), "like": 1, **settings})

    return make


@pytest.fixture
def shown():
    """``shown(data)``: rows as words, in the order that they stand in."""

    def show(data) -> str:
        return " ".join(f"{data.users.ids[u]}{data.items.ids[i]}" for u, i in zip(data.user, data.item, strict=True))

    return show


@pytest.fixture
def table():
    """``table(data)``: rows as raw ids, labels and times, sorted: what does not depend on an order or on codes."""

    def rows(data):
        columns = [data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), data.label.tolist()]
        return sorted(zip(*columns, *([] if data.time is None else [data.time.tolist()]), strict=True))

    return rows


@pytest.fixture
def shuffled():
    """``shuffled(data)``: the same rows in another order."""

    def shuffle(data):
        by = np.random.default_rng(1).permutation(len(data.user))
        rows = {name: getattr(data, name)[by] for name in ("user", "item", "label", "time")}
        return replace(data, **rows)

    return shuffle
