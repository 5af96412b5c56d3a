"""Fit the vocabulary of texts and its inverse document frequencies, and weigh the words of a text by TF-IDF."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge, Gt, Le
from jaxtyping import Bool
from scipy.sparse import csr_array

from recmeta.types import Column, Fitted, UserError

PATTERN = r"\b\w\w+\b"
"""A word: two or more letters, digits or underscores. Texts are lower-cased first."""

Least = Annotated[int, Ge(1)]
Share = Annotated[float, Gt(0), Le(1)]
Most = Annotated[int, Ge(1)] | None


def words_of(text: str) -> list[str]:
    """Split a text into words.

    >>> words_of("Toy Story 2: a sequel")
    ['toy', 'story', 'sequel']
    """
    return re.findall(PATTERN, text.lower())


def fit_vocabulary(
    column: Column, seen: Bool[np.ndarray, "N"], *, least: int, share: float, most: int | None
) -> Fitted:
    """Fit words and their inverse document frequencies on the texts of meta-train.

    Args:
        column: texts.
        seen: the entities of meta-train.
        least: the fewest texts that a word must be in.
        share: the largest share of texts that it may be in.
        most: how many words at most, the most frequent ones; None: all.

    Returns:
        ``words``, sorted, and ``idf`` of each: ``ln((1 + n) / (1 + df)) + 1`` for df of n texts.

    Raises:
        UserError: no word is left.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    texts = [text for text in column.values[seen] if text]
    vectorizer = TfidfVectorizer(token_pattern=PATTERN, min_df=least, max_df=float(share), max_features=most)
    try:
        vectorizer.fit(texts)
    except ValueError as error:
        raise UserError(
            f"text: no word is in {least:,} or more of the {len(texts):,} texts of meta-train, and in at most "
            f"{share:.0%} of them; lower text.least, or raise text.share"
        ) from error
    words = vectorizer.get_feature_names_out().tolist()
    return Fitted({"words": words, "idf": vectorizer.idf_}, {"words": len(words)}, f"{len(words):,} words")


def weigh(texts: Sequence[str], state: Mapping[str, Any]) -> csr_array:
    """Weigh the words of texts by TF-IDF; rows of unit length.

    Args:
        texts: any.
        state: of `fit_vocabulary`.

    Returns:
        Sparse ``[N, words]``; a row is zero where no word is known.

    Reference: Salton and Buckley, Term-weighting approaches in automatic text retrieval, Information Processing and
    Management 24(5), 1988: raw frequency, and length normalised by the cosine.
    """
    from sklearn.feature_extraction.text import TfidfVectorizer

    vectorizer = TfidfVectorizer(token_pattern=PATTERN, vocabulary=state["words"])
    vectorizer.idf_ = np.asarray(state["idf"])
    return csr_array(vectorizer.transform(texts))


def vectors_or_missing(vectors: np.ndarray, known: Bool[np.ndarray, "N"]) -> np.ndarray:
    """Mark vectors of texts without a known word as missing: all NaN."""
    return np.where(known[:, None], vectors, np.nan)
