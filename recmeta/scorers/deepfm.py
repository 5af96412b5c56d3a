"""A factorisation machine and a multi-layer perceptron over the same inputs."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge, MinLen
from flax import nnx
from jaxtyping import Array, Float

from recmeta.scorers.fm import Fm
from recmeta.scorers.mlp import Mlp
from recmeta.types import Encoding


class DeepFm(nnx.Module):
    """The sum of an `Fm` and an `Mlp` of the same inputs.

    Args:
        widths: of the two sides.
        width: of the vectors of the `Fm`.
        hidden: widths of the hidden layers.
        rngs: randomness.
    """

    def __init__(self, widths: tuple[int, int], *, width: int, hidden: tuple[int, ...], rngs: nnx.Rngs):
        self.pairs = Fm(widths, width=width, rngs=rngs)
        self.deep = Mlp(widths, hidden=hidden, norm=False, rngs=rngs)

    def __call__(self, encoding: Encoding) -> Float[Array, "n"]:
        """Score rows."""
        return self.pairs(encoding) + self.deep(encoding)


def deepfm(
    *,
    widths: tuple[int, int],
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    hidden: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)],
) -> DeepFm:
    """Build a `DeepFm` of a width and hidden layers.

    Reference: Guo et al., DeepFM, IJCAI 2017. Changed as `fm` is; the embeddings are shared by both parts, as there.
    """
    return DeepFm(widths, width=width, hidden=tuple(hidden), rngs=rngs)
