"""A multi-layer perceptron over both sides."""

from __future__ import annotations

from typing import Annotated

import jax
from annotated_types import Ge, MinLen
from flax import nnx
from jaxtyping import Array, Float

from recmeta.layers import Kernel, Linear
from recmeta.types import Encoding


class Mlp(nnx.Module):
    """ReLU layers over the two sides laid end to end, then one linear output.

    The first layer is held as its two halves: the context's is computed once per task, and not once per row.

    Args:
        widths: of the two sides.
        hidden: widths of the hidden layers.
        rngs: randomness.
    """

    def __init__(self, widths: tuple[int, int], *, hidden: tuple[int, ...], rngs: nnx.Rngs):
        # Both halves start as one layer over all inputs would: at the scale of their joint width.
        lecun = jax.nn.initializers.variance_scaling(1.0, "fan_in", "truncated_normal")
        joint = lecun(rngs.params(), (sum(widths), hidden[0]))
        self.context = Kernel(joint[: widths[0]])
        self.row = Kernel(joint[widths[0] :])
        self.bias = nnx.Param(jax.numpy.zeros(hidden[0]))
        outs = (*hidden[1:], 1)
        self.layers = nnx.List([Linear(a, b, rngs=rngs) for a, b in zip(hidden, outs, strict=True)])

    def __call__(self, encoding: Encoding) -> Float[Array, "n"]:
        """Score rows."""
        value = encoding.context @ self.context[...] + (encoding.row @ self.row[...] + self.bias[...])
        for layer in self.layers:
            value = layer(jax.nn.relu(value))
        return value[:, 0]


def mlp(
    *, widths: tuple[int, int], rngs: nnx.Rngs, hidden: Annotated[tuple[Annotated[int, Ge(1)], ...], MinLen(1)]
) -> Mlp:
    """Build an `Mlp` of the hidden widths.

    Reference: the decision layers of Lee et al., MeLU, KDD 2019 (two hidden layers of 64).
    """
    return Mlp(widths, hidden=tuple(hidden), rngs=rngs)
