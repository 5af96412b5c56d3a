"""Dense layers whose matrices can be adapted, arrays that nobody trains, and normalised ReLU."""

from __future__ import annotations

import jax
from flax import nnx
from jaxtyping import Array, Float


class Kernel(nnx.Param):
    """A matrix that inputs are multiplied by, ``x @ kernel[...]``, and that nothing else is done with.

    It has a type of its own so that `recmeta.models.model` can say which parameters are such: in their place may stand
    whatever inputs can be multiplied by (`recmeta.learners.adaptation.kernels`).
    """


class Constant(nnx.Variable):
    """An array that nobody trains, ``self.vectors = Constant(array)``, read as ``self.vectors[...]``.

    It is held once for all replicas, and has no gradient, no optimizer state and no place in checkpoints. It must not
    depend on the seed: one of random numbers is the same for all.
    """


class Linear(nnx.Linear):
    """Flax's dense layer, of a `Kernel`: ``x @ kernel + bias``."""

    def __init__(self, ins: int, outs: int, *, use_bias: bool = True, rngs: nnx.Rngs):
        super().__init__(ins, outs, use_bias=use_bias, rngs=rngs)
        self.kernel = Kernel(self.kernel[...])

    def __call__(self, x: Float[Array, "*n a"]) -> Float[Array, "*n b"]:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Apply the layer."""
        y = x @ self.kernel[...]
        return y if self.bias is None else y + self.bias[...]


class Rectifier(nnx.Module):
    """ReLU between dense layers, with ``norm`` of its input normalised over the layer.

    "norm" is its name among the parameters too, by which ``adapts: norm`` finds it.

    Args:
        width: of the input.
        norm: whether to normalise.
        rngs: randomness.

    Reference: Ba, Kiros and Hinton, Layer normalization, 2016, equation 4.
    """

    def __init__(self, width: int, *, norm: bool, rngs: nnx.Rngs):
        self.norm = nnx.LayerNorm(width, rngs=rngs) if norm else None

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """Apply it to rows."""
        return jax.nn.relu(x if self.norm is None else self.norm(x))


class Dropout(nnx.Module):
    """Flax's dropout, off at test; at a rate of 0 nothing at all, and no randomness is held.

    Args:
        rate: share of numbers dropped, below 1.
        rngs: randomness.
    """

    def __init__(self, rate: float, *, rngs: nnx.Rngs):
        self.layer = nnx.Dropout(rate, rngs=rngs) if rate else None

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n d"]:
        """Apply it to rows."""
        return x if self.layer is None else self.layer(x)
