"""Dense layers whose matrices may be more than arrays: say, a shared matrix and one task's small change to it."""

from __future__ import annotations

from flax import nnx
from jaxtyping import Array, Float


class Kernel(nnx.Param):
    """A matrix that inputs are multiplied by, ``x @ kernel[...]``, and that nothing else is done with.

    It has a type of its own so that `recmeta.model` can say which parameters are such: in their place may stand
    whatever inputs can be multiplied by (`recmeta.learners.kernels`).
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
