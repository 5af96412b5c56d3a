"""Parameter-efficient adapters: LoRA, FiLM, user embedding.

Fitted, it is a model like any other, with more parameters: those that adapt. They stand beside the parameters of the
part that they change, under "adapters", and are at first without effect.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import Annotated, Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from annotated_types import Ge, Len
from jaxtyping import Array, Float, PRNGKeyArray

from recmeta.learners.adaptation import inner
from recmeta.types import Encoding, Model, Params, UserError

Adapts = inner.Adapts | Annotated[dict[Literal["lora"], Annotated[int, Ge(1)]], Len(1)]
"""What adapts: a name, or ``{"lora": rank}``."""

RANK = 4
"""Of "lora", where none is given."""


class Adapter(NamedTuple):
    """An adapter of a dense layer.

    Attributes:
        init: ``(key, kernel [a, b]) -> params``, a dict of arrays.
        apply: ``(params, inputs [*n, a], outputs [*n, b]) -> [*n, b]``: what becomes of the product with the kernel.
    """

    init: Callable[[PRNGKeyArray, Float[Array, "a b"]], Params]
    apply: Callable[[Params, Float[Array, "*n a"], Float[Array, "*n b"]], Float[Array, "*n b"]]


@dataclass(frozen=True)
class Fitted:
    """A kernel with its adapter, for inputs to be multiplied by."""

    kernel: Any
    apply: Callable[[Array, Array], Array]

    def __rmatmul__(self, x: Float[Array, "*n a"]) -> Float[Array, "*n b"]:
        """Multiply inputs, and apply the adapter."""
        return self.apply(x, x @ self.kernel)

    def __getitem__(self, index):
        """Nothing but itself, ``[...]``: `flax.nnx` asks for it so."""
        return self


def fitted(model: Model, adapts: Adapts) -> tuple[Model, inner.Adapts]:
    """Add adapters to a model, so that they adapt.

    With the same key its own parameters start as they do without.

    Args:
        model: what adapts.
        adapts: "lora" adds a product of two thin matrices to each of the model's dense layers' own, of rank `RANK` or
            of the one given; "film" scales and shifts each of their outputs; "user_embedding" adds a vector to the
            representation of the task's entity. All else is in the model already.

    Returns:
        The model, and the name of what adapts.

    Raises:
        UserError: where an adapter of dense layers does not reach one.

    Reference: Hu et al., LoRA: Low-rank adaptation of large language models, ICLR 2022, equation 3; Perez et al., FiLM:
    Visual reasoning with a general conditioning layer, AAAI 2018, equation 2.
    """
    name, rank = (adapts, RANK) if isinstance(adapts, str) else next(iter(adapts.items()))
    if name in ("lora", "film"):
        check_reached(model, name)
    if name == "lora":
        return with_adapters(model, low_rank(rank)), name
    if name == "film":
        return with_adapters(model, film()), name
    return (with_user_embedding(model) if name == "user_embedding" else model), name


def departures(adapts: Adapts, of: Literal["all", "head"]) -> tuple[tuple[str, str], ...]:
    """The departure from a paper in which another part adapts, for `recmeta.types.Learner.departs`.

    >>> departures("head", of="all"), departures({"lora": 8}, of="all"), departures("all", of="all")
    ((('learner.adapts', 'head'),), (('learner.adapts', 'lora'),), ())
    """
    name = adapts if isinstance(adapts, str) else next(iter(adapts))
    return () if name == of else (("learner.adapts", name),)


def check_reached(model: Model, name: str) -> None:
    """Refuse a model with a dense layer that no adapter reaches. One in a loop of the model's own is not meant.

    Raises:
        UserError: naming it.
    """
    for path in sorted(model.unreached, key=str):
        raise UserError(
            f"learner.adapts={name}: no adapter reaches {'.'.join(map(str, path))}, a dense layer's matrix: use "
            "recmeta.models.layers.Linear in place of flax.nnx.Linear, or hold it as recmeta.models.layers.Kernel"
        )


def low_rank(rank: int) -> Adapter:
    """LoRA: add ``inputs @ down @ up``; that is, ``down @ up`` to the kernel.

    ``up`` starts at zero, ``down`` with ``E[down @ down.T] = I``: the first step on ``up`` then changes the layer, in
    expectation, as the same step on its kernel would, so that one rate fits all ranks.

    Args:
        rank: of the product; where a side of the kernel is less, that.
    """

    def init(key: PRNGKeyArray, kernel: Array) -> Params:
        ins, outs = kernel.shape
        thin = min(rank, ins, outs)
        down = jax.random.normal(key, (ins, thin), kernel.dtype) / thin**0.5
        return {"down": down, "up": jnp.zeros((thin, outs), kernel.dtype)}

    return Adapter(init, lambda params, x, y: y + x @ params["down"] @ params["up"])


def film() -> Adapter:
    """Multiply each output by ``1 + scale`` and add ``shift``; both start at zero."""

    def init(key: PRNGKeyArray, kernel: Array) -> Params:
        del key
        return {name: jnp.zeros_like(kernel[0]) for name in ("scale", "shift")}

    return Adapter(init, lambda params, x, y: y * (1 + params["scale"]) + params["shift"])


def with_adapters(model: Model, adapter: Adapter) -> Model:
    """A model with an adapter at each of its kernels."""

    def init(key: PRNGKeyArray) -> Params:
        params = model.init(key)
        # The model's own two parts are made of the first two.
        paths, key_adapters = sorted(model.kernels, key=str), jax.random.split(key, 3)[2]
        keys = dict(zip(paths, jax.random.split(key_adapters, len(paths)), strict=True))

        def beside(part: Params, path: tuple[Any, ...]) -> Params:
            made = {}
            for name, value in part.items():
                here = (*path, name)
                if here in keys:
                    made[name] = adapter.init(keys[here], value)
                elif isinstance(value, dict) and (within := beside(value, here)):
                    made[name] = within
            return made

        found = {name: beside(part, (name,)) for name, part in params.items()}
        return params | {name: params[name] | {"adapters": made} for name, made in found.items() if made}

    def over(part: Params, adapters: Params) -> Params:
        def one(value: Any, params: Params) -> Any:
            return over(value, params) if isinstance(value, dict) else Fitted(value, partial(adapter.apply, params))

        return part | {name: one(part[name], params) for name, params in adapters.items()}

    def encode(params: Params, *task: Any) -> Encoding:
        return model.encode(params | {"encoder": over(*apart(params["encoder"]))}, *task)

    def score(params: Params, encoding: Encoding) -> Float[Array, "n"]:
        return model.score(params | {"scorer": over(*apart(params["scorer"]))}, encoding)

    return model._replace(init=init, encode=encode, score=score)


def with_user_embedding(model: Model) -> Model:
    """A model with a vector, zero at first, that is added to the representation of the task's entity."""

    def init(key: PRNGKeyArray) -> Params:
        params = model.init(key)
        vector = jnp.zeros(model.widths[0])
        return params | {"scorer": params["scorer"] | {"adapters": {"user_embedding": vector}}}

    def score(params: Params, encoding: Encoding) -> Float[Array, "n"]:
        scorer, adapters = apart(params["scorer"])
        moved = encoding._replace(context=encoding.context + adapters["user_embedding"])
        return model.score(params | {"scorer": scorer}, moved)

    return model._replace(init=init, score=score)


def apart(part: Params) -> tuple[Params, Params]:
    """A part's own parameters, and its adapters."""
    return {name: value for name, value in part.items() if name != "adapters"}, part.get("adapters", {})
