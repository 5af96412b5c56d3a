"""Pairs that a loss contrasts: each liked row with the rows that it should be above."""

from __future__ import annotations

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from recmeta.types import ScoredNegatives


class Contrast(NamedTuple):
    """Each row with its rivals.

    Attributes:
        liked: which rows are liked, and there.
        rival: scores of the rivals of each row.
        mask: which rivals count; none of a row that is not liked.
        log_q: the log-probability with which each rival was drawn; None of a support, where all there are, are there.
    """

    liked: Bool[Array, "n"]
    rival: Float[Array, "n m"]
    mask: Bool[Array, "n m"]
    log_q: Float[Array, "m"] | None


def contrast(scores: Array, labels: Array, where: Array, like: float, negatives: ScoredNegatives | None) -> Contrast:
    """Set each liked row against the drawn negatives; on a support, which has none, against its rows that are not.

    Args:
        scores, labels, where: of the rows ``[n]``, and which are there.
        like: the label from which a row is liked.
        negatives: drawn for the task; None on a support.
    """
    scores, liked = jnp.asarray(scores), where & (labels >= like)
    if negatives is None:
        rival, there, log_q = scores, where & ~liked, None
    else:
        rival, there, log_q = negatives.score, negatives.mask, negatives.log_q
    shape = (len(scores), len(rival))
    return Contrast(liked, jnp.broadcast_to(rival, shape), liked[:, None] & jnp.broadcast_to(there, shape), log_q)
