"""The support read as a history by a gated recurrent unit."""

from __future__ import annotations

from typing import Annotated

from annotated_types import Ge
from flax import nnx

from recmeta.encoders.history import History, Recurrent
from recmeta.types import DataSpec


def gru(
    *,
    spec: DataSpec,
    rngs: nnx.Rngs,
    width: Annotated[int, Ge(1)],
    state: Annotated[int, Ge(1)],
    prompt: Annotated[int, Ge(0)] = 0,
) -> History:
    """Embed ids and all declared features, and read the support as a history.

    Args:
        spec: the fields and the label range.
        rngs: randomness.
        width: of each field's embedding.
        state: of the GRU's state.
        prompt: how many learned rows it reads before the support; they are what ``learner.adapts=prompt`` adapts.

    Reference: Hidasi et al., Session-based recommendations with recurrent neural networks, ICLR 2016; Lester et al.,
    The power of scale for parameter-efficient prompt tuning, EMNLP 2021 (learned rows before the input).
    """

    def reader(ins: int, rngs: nnx.Rngs) -> Recurrent:
        return Recurrent(nnx.GRUCell(ins, state, rngs=rngs), state=state)

    return History(spec, reader, width=width, prompt=prompt, rngs=rngs)
