"""The support read as a history by a long short-term memory."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from flax import nnx

from recmeta.encoders.history import History, Recurrent
from recmeta.types import DataSpec


def lstm(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the support by an LSTM.

    Args:
        spec, rngs, width, prompt: as of `recmeta.encoders.gru`.
        state: of the cell and of its output.

    Reference: Hochreiter and Schmidhuber, Long short-term memory, Neural Computation 1997; in recommendation Devooght
    and Bersini, 2016.
    """

    def reader(ins: int, rngs: nnx.Rngs) -> Recurrent:
        return Recurrent(nnx.LSTMCell(ins, state, rngs=rngs), state=state, carried=2)

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
