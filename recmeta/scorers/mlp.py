"""A multi-layer perceptron over both sides."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, MinLen
from flax import nnx
from jaxtyping import Array, Float

from recmeta.models.layers import Kernel, Linear, Rectifier
from recmeta.types import Encoding


class Mlp(nnx.Module):
    """ReLU layers over the two sides laid end to end, then one linear output.

    The first layer is held as its two halves: the context's is computed once per task, and not once per row.

    Args:
        widths: of the two sides.
        hidden: widths of the hidden layers.
        norm: whether what goes into each ReLU is normalised over its layer.
        rngs: randomness.
    """

    def __init__(self, widths: tuple[int, int], *, hidden: tuple[int, ...], norm: bool, rngs: nnx.Rngs):
        # Both halves start as one layer over all inputs would: at the scale of their joint width.
        lecun = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
        joint = lecun(rngs.params(), (sum(widths), hidden[0]))
        self.context = Kernel(joint[: widths[0]])
        self.row = Kernel(joint[widths[0] :])
        self.bias = nnx.Param(jnp.zeros(hidden[0]))
        outs = (*hidden[1:], 1)
        self.layers = nnx.List([Linear(a, b, rngs=rngs) for a, b in zip(hidden, outs, strict=True)])
        self.rectifiers = nnx.List([Rectifier(width, norm=norm, rngs=rngs) for width in hidden])

    def __call__(self, encoding: Encoding) -> Float[Array, "n"]:
        """Score rows."""
        value = encoding.context @ self.context[...] + (encoding.row @ self.row[...] + self.bias[...])
        for rectifier, layer in zip(self.rectifiers, self.layers, strict=True):
            value = layer(rectifier(value))
        return value[:, 0]


def mlp(
    *,
    widths: tuple[int, int],
    rngs: nnx.Rngs,
    hidden: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)],
    norm: bool = False,
) -> Mlp:
    """Build an `Mlp` of the hidden widths, with or without layer normalisation.

    Reference: the decision layers of Lee et al., MeLU, KDD 2019 (two hidden layers of 64).
    """
    return Mlp(widths, hidden=tuple(hidden), norm=norm, rngs=rngs)
