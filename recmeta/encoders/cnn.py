"""The last rows of the support read as an image, by filters across rows and along them."""

from __future__ import annotations

from typing import Annotated

import jax
import jax.numpy as jnp
from annotated_types import Ge, Lt
from flax import nnx
from jaxtyping import Array, Bool, Float

from recmeta.encoders.history import History, earlier, of_prefixes
from recmeta.models.layers import Dropout, Linear
from recmeta.types import DataSpec


class Caser(nnx.Module):
    """Horizontal filters of every height and vertical ones over the last rows, and a ReLU layer on all of them.

    Args:
        ins: width of a row.
        state: of what is read.
        window: of how many rows; those before the first are zeros.
        horizontal: filters of each height, from one row to the window; of each the largest value counts.
        vertical: weighted sums of the window's rows.
        dropout: share of numbers dropped before the last layer.
        rngs: randomness.
    """

    def __init__(
        self, ins: int, *, state: int, window: int, horizontal: int, vertical: int, dropout: float, rngs: nnx.Rngs
    ):
        self.heights = nnx.List([Linear(height * ins, horizontal, rngs=rngs) for height in range(1, window + 1)])
        self.columns = Linear(window, vertical, rngs=rngs)
        self.output = Linear(window * horizontal + vertical * ins, state, rngs=rngs)
        self.dropout = Dropout(dropout, rngs=rngs)
        self.window, self.state = window, state

    def __call__(self, rows: Float[Array, "K d"], there: Bool[Array, "K"]) -> Float[Array, "K+1 h"]:
        """Read rows."""
        return of_prefixes(rows, there, self._windows)

    def _windows(self, rows: Array, there: Array) -> Array:
        last = jnp.stack([earlier(rows, back) for back in reversed(range(self.window))], axis=1)
        found = []
        for height, filters in enumerate(self.heights, start=1):
            patches = [last[:, at : at + height] for at in range(self.window - height + 1)]
            patches = jnp.stack(patches, axis=1).reshape(len(rows), len(patches), -1)
            found.append(jax.nn.relu(filters(patches)).max(1))
        found.append(self.columns(last.transpose(0, 2, 1)).reshape(len(rows), -1))
        value = jnp.concatenate(found, axis=1)
        return jax.nn.relu(self.output(self.dropout(value)))


def cnn(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    window: Annotated[int, Ge(1)],
    horizontal: Annotated[int, Ge(1)],
    vertical: Annotated[int, Ge(1)],
    dropout: Annotated[float, Ge(0), Lt(1)] = 0.0,
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the last rows of the support by convolutions.

    Args:
        spec, rngs, width, prompt: as of `recmeta.encoders.gru`.
        state, window, horizontal, vertical, dropout: see `Caser`.

    Reference: Tang and Wang, Personalized top-n sequential recommendation via convolutional sequence embedding (Caser),
    WSDM 2018. Changed: labels are read beside the items; what it reads is a user's context, and the scorer is any.
    """

    def reader(ins: int, rngs: nnx.Rngs) -> Caser:
        return Caser(
            ins, state=state, window=window, horizontal=horizontal, vertical=vertical, dropout=dropout, rngs=rngs
        )

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
