"""Ranking metrics of one `View`, each the exact expectation over the orders of tied candidates.

References:
    McSherry and Najork, Computing information retrieval performance measures efficiently in the presence of tied
    scores, ECIR 2008: the expectations; those of the reciprocal rank and of the hit rate are written here as negative
    hypergeometric: the place of the first of ``hits`` liked rows among ``tied`` rows in random order.
"""

from __future__ import annotations

from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from recmeta.metrics.view import View, ideal


def ndcg(view: View, k: int) -> Float[Array, ""]:
    """Normalised discounted cumulative gain of the first k, with gain ``2^label - 1``; labels from 0 to below 128.

    Undefined where the ideal order gains nothing: no rows, or all labels 0.

    Reference:
        Burges et al., Learning to rank using gradient descent, ICML 2005.
    """
    # In units of 2^64, which is exact: the sum of gains near 2^128 would not be finite.
    return _ndcg(view, k, lambda label: (jnp.exp2(label) - 1) * 2.0**-64)


def ndcg_linear(view: View, k: int) -> Float[Array, ""]:
    """Normalised discounted cumulative gain of the first k, with the label itself as gain; labels of at least 0.

    Undefined where the ideal order gains nothing: no rows, or all labels 0.

    Reference:
        Järvelin and Kekäläinen, Cumulated gain-based evaluation of IR techniques, TOIS 2002.
    """
    return _ndcg(view, k, lambda label: label)


def recall(view: View, k: int) -> Float[Array, ""]:
    """Share of the liked rows that are among the first k; undefined where none is liked."""
    return _ratio(_liked_in(view, k), view.liked.sum())


def precision(view: View, k: int) -> Float[Array, ""]:
    """Liked rows among the first k, divided by k, however few candidates there are; undefined where there is none."""
    return jnp.where(view.candidates > 0, _liked_in(view, k) / k, jnp.nan)


def hr(view: View, k: int) -> Float[Array, ""]:
    """Chance that a liked row is among the first k (hit rate, success); undefined where none is liked."""
    above, tied, hits = _first(view)
    among = jnp.clip(k - above, 0, tied)
    return jnp.where(hits > 0, 1 - _no_hit(view, among, tied, hits), jnp.nan)


def average_precision(view: View, k: int) -> Float[Array, ""]:
    """Mean over ALL liked rows of the precision at their ranks, 0 beyond k; undefined where none is liked.

    Its mean over tasks is MAP@k. Dividing by all liked rows, as trec_eval does, bounds it below 1 where more than k
    rows are liked; some libraries divide by at most k.
    """
    ahead, same = _liked_ahead(view)
    place = np.arange(k)
    rank = view.above[:, None] + place
    # Of a liked row at a place of its tie group, each row of the group before it is liked with one chance.
    share = (same - 1) / jnp.maximum(view.tied - 1, 1)
    found = ahead[:, None] + 1 + place * share[:, None].astype(view.label.dtype)
    inside = view.liked[:, None] & (place < view.tied[:, None]) & (rank < k)
    return _ratio((jnp.where(inside, found / (rank + 1), 0).sum(1) / jnp.maximum(view.tied, 1)).sum(), view.liked.sum())


def mrr(view: View, k: int | None = None) -> Float[Array, ""]:
    """Reciprocal rank of the first liked row, 0 if it is beyond k; undefined where none is liked.

    Args:
        view: the task.
        k: cut-off; None for none.
    """
    longest = len(view.there)
    k = longest if k is None else k
    above, tied, hits = _first(view)
    place = np.arange(min(k, longest))
    rank = above + 1 + place
    here = _no_hit(view, place, tied, hits) * hits / jnp.maximum(tied - place, 1)
    return jnp.where(hits > 0, jnp.where(rank <= k, here / rank, 0).sum(), jnp.nan)


def auc(view: View) -> Float[Array, ""]:
    """Share of the pairs of a liked and another candidate in the right order, ties counting half.

    Undefined without such pairs. Counted in halves, as integers: exact.
    """
    ahead, same = _liked_ahead(view)
    others = view.candidates - view.liked.sum()
    lost = 2 * (view.above - ahead) + (view.tied - same)
    won = jnp.where(view.liked, 2 * others - lost, 0).sum()
    return _ratio(won.astype(view.label.dtype), 2 * view.liked.sum() * others)


# --- their parts --------------------------------------------------------------------------------------------------


def _ndcg(view: View, k: int, gain: Callable[[Array], Array]) -> Float[Array, ""]:
    rank, discount = np.arange(k), jnp.asarray(1 / np.log2(np.arange(k) + 2), view.label.dtype)
    gains = jnp.where(view.mask, gain(view.label), 0)
    # Equal labels gain alike, so that the ideal order may tie them too. One sum of both compiles faster than two.
    best = ideal(view)
    above = jnp.stack([view.above, best.above])[..., None]
    tied = jnp.stack([view.tied, best.tied])[..., None]
    possible = (above <= rank) & (rank < above + tied)
    got, most = jnp.where(possible, gains[:, None] / jnp.maximum(tied, 1) * discount, 0).sum((1, 2))
    return _ratio(got, most)


def _liked_in(view: View, k: int) -> Float[Array, ""]:
    """Expected number of liked rows among the first k."""
    chance = jnp.clip(k - view.above, 0, view.tied) / jnp.maximum(view.tied, 1).astype(view.label.dtype)
    return jnp.where(view.liked, chance, 0).sum()


def _liked_ahead(view: View) -> tuple[Int[Array, "q"], Int[Array, "q"]]:
    """Number of liked rows that score higher than each row, and number that score the same."""
    ahead = (view.liked & (view.above < view.above[:, None])).sum(1)
    same = (view.liked & (view.above == view.above[:, None])).sum(1)
    return ahead, same


def _first(view: View) -> tuple[Int[Array, ""], Int[Array, ""], Int[Array, ""]]:
    """The best tie group with a liked row: number of candidates above it, in it, and of liked ones in it."""
    above = jnp.min(view.above, where=view.liked, initial=len(view.there))
    group = view.liked & (view.above == above)
    return above, jnp.max(view.tied, where=group, initial=0), group.sum()


def _no_hit(view: View, among: Array | np.ndarray, tied: Array, hits: Array) -> Array:
    """Chance that none of the ``hits`` liked rows of ``tied`` rows in random order is among the first ``among``."""
    number = np.arange(len(view.mask))  # of a liked row
    left = jnp.maximum(tied - jnp.expand_dims(among, -1) - number, 0)
    chance = left / jnp.maximum(tied - number, 1).astype(view.label.dtype)
    return jnp.where(number < hits, chance, 1).prod(-1)


def _ratio(part: Array, whole: Array) -> Array:
    """``part / whole``, NaN unless the whole is positive."""
    return jnp.where(whole > 0, part / jnp.where(whole > 0, whole, 1).astype(part.dtype), jnp.nan)
