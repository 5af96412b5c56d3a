"""TF-IDF: the words of a text, weighted by how often they are in it and how few texts of meta-train have them."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from recmeta.features.weighted import weighted
from recmeta.texts.vocabulary import Least, Most, Share, fit_vocabulary, weigh
from recmeta.types import Column, Preparation


def tfidf(*, least: Least, share: Share, most: Most) -> Preparation:
    """Turn a text into its words with their TF-IDF weights, of unit length together.

    Args:
        least: the fewest texts of meta-train that a word must be in.
        share: the largest share of them that it may be in.
        most: words at most, the most frequent ones; None: all.

    Reference: Salton and Buckley, Term-weighting approaches in automatic text retrieval, Information Processing and
    Management 24(5), 1988.
    """
    fit = partial(fit_vocabulary, least=least, share=share, most=most)
    return Preparation("tfidf", weighted.name, fit, apply_tfidf)


def apply_tfidf(column: Column, state: Mapping[str, Any]) -> Column:
    """Weigh the words of each text."""
    rows, words = weigh(column.values.tolist(), state), state["words"]
    values = np.empty(len(column.values), dtype=object)
    for place, (start, end) in enumerate(pairwise(rows.indptr)):
        pairs = zip(rows.indices[start:end], rows.data[start:end].tolist(), strict=True)
        values[place] = tuple(sorted((words[index], weight) for index, weight in pairs))
    return Column(weighted.name, values)
