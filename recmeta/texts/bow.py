"""Bag of words: the set of words of a text, of a vocabulary fitted on meta-train."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Any

import numpy as np
from jaxtyping import Bool

from recmeta.features.multi import multi
from recmeta.texts.vocabulary import Least, Most, Share, fit_vocabulary, words_of
from recmeta.types import Column, Fitted, Preparation


def bow(*, least: Least, share: Share, most: Most) -> Preparation:
    """Turn a text into the set of its words.

    Which words are there counts, and not how often: `recmeta.texts.tfidf` counts them.

    Args:
        least: the fewest texts of meta-train that a word must be in.
        share: the largest share of them that it may be in.
        most: words at most, the most frequent ones; None: all.

    Reference: Pazzani and Billsus, Content-based recommendation systems, The Adaptive Web, 2007, section 10.2.
    """
    return Preparation("bow", multi.name, partial(_fit, least=least, share=share, most=most), apply_bow)


def _fit(column: Column, seen: Bool[np.ndarray, "N"], **settings: Any) -> Fitted:
    found = fit_vocabulary(column, seen, **settings)
    return found._replace(state={"words": found.state["words"]})


def apply_bow(column: Column, state: Mapping[str, Any]) -> Column:
    """Keep the words of each text that are in the vocabulary, each once."""
    vocabulary = set(state["words"])
    values = np.empty(len(column.values), dtype=object)
    values[:] = [tuple(sorted(vocabulary.intersection(words_of(text)))) for text in column.values]
    return Column(multi.name, values)
