"""Latent semantic analysis: the leading singular vectors of the TF-IDF matrix of meta-train."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool

from recmeta.features.vector import vector
from recmeta.texts.vocabulary import Least, Most, Share, fit_vocabulary, vectors_or_missing, weigh
from recmeta.types import Column, Fitted, Preparation, UserError


def svd(*, width: Annotated[int, Ge(1)], least: Least, share: Share, most: Most) -> Preparation:
    """Turn a text into its coordinates along the leading singular vectors of meta-train's TF-IDF.

    Args:
        width: how many.
        least: the fewest texts of meta-train that a word must be in.
        share: the largest share of them that it may be in.
        most: words at most, the most frequent ones; None: all.

    Reference: Deerwester et al., Indexing by latent semantic analysis, JASIS 41(6), 1990.
    """
    return Preparation("svd", vector.name, partial(_fit, width=width, least=least, share=share, most=most), apply_svd)


def _fit(column: Column, seen: Bool[np.ndarray, "N"], *, width: int, **settings: Any) -> Fitted:
    from scipy.sparse.linalg import svds

    found = fit_vocabulary(column, seen, **settings)
    rows: Any = weigh([text for text in column.values[seen] if text], found.state)
    least = min(rows.shape)
    if width >= least:
        raise UserError(
            f"text.width={width}: must be below {least}, the smaller of {rows.shape[0]:,} texts of meta-train and "
            f"{rows.shape[1]:,} words"
        )
    # A fixed start: without one it is drawn from numpy's global generator, and no two fits are equal.
    solution: Any = svds(rows, k=width, v0=np.ones(least))
    values, vectors = solution[1][::-1], solution[2][::-1]
    # A singular vector has no sign of its own: its largest entry is positive.
    sign = np.sign(vectors[np.arange(width), np.abs(vectors).argmax(axis=1)])
    kept = float((values**2).sum() / rows.multiply(rows).sum())
    state = {**found.state, "vectors": (vectors * sign[:, None]).T.astype(np.float32)}
    return Fitted(state, found.counts, f"{found.note}; {width} vectors hold {kept:.0%} of the squared weights")


def apply_svd(column: Column, state: Mapping[str, Any]) -> Column:
    """Project TF-IDF weights on the fitted vectors; a text without a known word is missing."""
    rows = weigh(column.values.tolist(), state)
    return Column(vector.name, vectors_or_missing(rows @ state["vectors"], np.diff(rows.indptr) > 0))
