"""The support read as a history by a plain recurrent network."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from flax import nnx

from recmeta.encoders.history import History, Recurrent
from recmeta.types import DataSpec


def rnn(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the support by ``tanh(W row + U state + b)``.

    Args:
        spec, rngs, width, prompt: as of `recmeta.encoders.gru`.
        state: of the network.

    Reference: Elman, Finding structure in time, Cognitive Science 1990.
    """

    def reader(ins: int, rngs: nnx.Rngs) -> Recurrent:
        return Recurrent(nnx.SimpleCell(ins, state, rngs=rngs), state=state)

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
