"""Cleaning: an ordered list of steps between a data set and a protocol (`docs/cleaning.md`).

A step is a function ``interactions -> Interactions`` with settings. Rules on rows drop, add or relabel rows at once and
fit nothing. Preparations of features are only noted on the columns: a protocol fits them, on meta-train alone.
"""

from recmeta.cleaning.implicit import negatives
from recmeta.cleaning.pipeline import blocks, clean
from recmeta.cleaning.preparations import bucket, clip, standardise, vocabulary
from recmeta.cleaning.rules import activity, binarise, kcore, label_range, missing, window

__all__ = [
    "activity",
    "binarise",
    "blocks",
    "bucket",
    "clean",
    "clip",
    "kcore",
    "label_range",
    "missing",
    "negatives",
    "standardise",
    "vocabulary",
    "window",
]
