"""A linear function of the row alone; its weights are the task's own once a learner adapts them."""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Float

from recmeta.models.layers import Linear
from recmeta.types import Encoding


class Content(nnx.Module):
    """``theta . row + level``; the context has no part in it.

    Two users with other features differ only by what adaptation makes of ``theta``. Under ``objective=bce`` the
    prediction is ``sigmoid(theta . row + level)``.

    Args:
        widths: of the two sides.
        rngs: randomness.
    """

    def __init__(self, widths: tuple[int, int], *, rngs: nnx.Rngs):
        self.theta = Linear(widths[1], 1, rngs=rngs)

    def __call__(self, encoding: Encoding) -> Float[Array, "n"]:
        """Score rows."""
        return self.theta(encoding.row)[:, 0]


def content(*, widths: tuple[int, int], rngs: nnx.Rngs) -> Content:
    """Build a `Content`.

    Reference: Vartak et al., A meta-learning perspective on cold-start recommendations for items, NIPS 2017 (a linear
    classifier with weights that are each user's own).
    """
    return Content(widths, rngs=rngs)
