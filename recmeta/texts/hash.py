"""Hashed character n-grams: no vocabulary, so that a word that is new, or misspelt, is near those that it resembles."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool

from recmeta.features.vector import vector
from recmeta.texts.vocabulary import vectors_or_missing
from recmeta.types import Column, Fitted, Preparation, UserError

Length = Annotated[int, Ge(1)]


def hash(*, width: Annotated[int, Ge(2)], shortest: Length, longest: Length) -> Preparation:
    """Turn a text into signed counts of its character n-grams in so many buckets, of unit length together.

    n-grams lie within words, whose ends count as blanks. Nothing is fitted: the hash is the same for every data set.

    Args:
        width: number of buckets.
        shortest, longest: characters of an n-gram.

    Raises:
        UserError: shortest is above longest.

    Reference: Weinberger et al., Feature hashing for large scale multitask learning, ICML 2009, definition 1;
    Bojanowski et al., Enriching word vectors with subword information, TACL 2017 (character n-grams of words).
    """
    if shortest > longest:
        raise UserError(f"text.shortest={shortest}: must be at most text.longest={longest}")
    settings = {"width": width, "shortest": shortest, "longest": longest}
    return Preparation("hash", vector.name, partial(_fit, settings=settings), apply_hash)


def _fit(column: Column, seen: Bool[np.ndarray, "N"], *, settings: Mapping[str, int]) -> Fitted:
    del column, seen
    grams = f"{settings['shortest']} to {settings['longest']} characters"
    return Fitted(settings, {}, f"nothing is fitted; n-grams of {grams} in {settings['width']:,} buckets")


def apply_hash(column: Column, state: Mapping[str, Any]) -> Column:
    """Hash the n-grams of each text; one without letters is missing."""
    from sklearn.feature_extraction.text import HashingVectorizer

    lengths = (state["shortest"], state["longest"])
    hashing = HashingVectorizer(analyzer="char_wb", ngram_range=lengths, n_features=state["width"])
    rows: Any = hashing.transform(column.values.tolist())
    return Column(vector.name, vectors_or_missing(rows.toarray(), np.diff(rows.indptr) > 0))
