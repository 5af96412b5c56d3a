"""Encoder and scorer to pure functions over plain pytrees: the only place where Flax becomes functions."""

from __future__ import annotations

import hashlib
import inspect
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, PRNGKeyArray, PyTree

from recmeta.models.fields import Table
from recmeta.models.layers import Constant, Kernel
from recmeta.types import (
    Background,
    Constants,
    DataSpec,
    Encoding,
    Features,
    Model,
    Objective,
    Params,
    Support,
    Transform,
    UserError,
)


class Structure(NamedTuple):
    """Structure and arrays of a module, as shapes.

    Attributes:
        module: abstract: its arrays are shapes.
        definition: its structure, for `flax.nnx.merge`.
        constants, randomness, params: its arrays by kind, as plain dicts; ``params`` by the kinds that were asked for.
        kernels: the paths of its `Kernel`s.
    """

    module: Any
    definition: Any
    constants: PyTree
    randomness: PyTree
    params: list[PyTree]
    kernels: frozenset[tuple[Any, ...]]


def make_model(
    encoder: Callable[..., nnx.Module],
    scorer: Callable[..., nnx.Module],
    spec: DataSpec,
    objective: Objective,
    background: Callable[[], Background] | None = None,
    transform: Transform | None = None,
) -> Model:
    """Join an encoder and a scorer.

    Their constants are made here, once, and the functions read them; `with_constants` gives functions that read others,
    such as tracers.

    Args:
        encoder: ``(spec=, rngs=) -> module``, or with ``background=`` or ``transform=`` too; see `recmeta.encoders`.
        scorer: ``(widths=, rngs=) -> module``; see `recmeta.scorers`.
        spec: sizes; its mean label is where scores start from.
        objective: says in which units a score is.
        background: makes what is known beyond one task, where the encoder asks for it.
        transform: the fitted features, where the encoder asks for them.

    Raises:
        UserError: where a module holds what is neither trained nor constant, or asks for what is not there.
    """
    given: dict[str, Any] = {"spec": spec}
    known = {"background": background, "transform": transform and (lambda: transform)}
    for name in known.keys() & inspect.signature(encoder).parameters:
        if (make := known[name]) is None:
            raise UserError(f"encoder: it asks for the {name}, and this problem has none")
        given[name] = make()

    def make_encoder(key: PRNGKeyArray) -> Any:
        return encoder(**given, rngs=nnx.Rngs(key))

    encodes = structure("encoder", make_encoder, Table, ...)
    widths: tuple[int, int] = encodes.module.widths

    def make_scorer(key: PRNGKeyArray) -> Any:
        return scorer(widths=widths, rngs=nnx.Rngs(key))

    scores = structure("scorer", make_scorer, ...)
    if scores.randomness:
        raise UserError("scorer: it draws random numbers, and is given no key; put the dropout into the encoder")
    parts = {"encoder": (make_encoder, encodes), "scorer": (make_scorer, scores)}

    def init(key: PRNGKeyArray) -> Params:
        key_encoder, key_scorer = jax.random.split(key)
        _, _, _, tables, rest = split(make_encoder(key_encoder), Table, ...)
        _, _, _, head = split(make_scorer(key_scorer), ...)
        return {"tables": tables, "encoder": rest, "scorer": head}

    bind = partial(functions, encodes, scores, spec, objective)
    constants = {name: made for name, part in parts.items() if (made := make_constants(*part))}
    kernels = frozenset((name, *path) for name, (_, part) in parts.items() for path in part.kernels)
    return Model(init, *bind(constants), widths, kernels, constants, bind)


def functions(
    encodes: Structure, scores: Structure, spec: DataSpec, objective: Objective, constants: Constants
) -> tuple[Callable[..., Encoding], Callable[[Params, Encoding], Array]]:
    """Build `Model.encode` and `Model.score` of an encoder and a scorer.

    Args:
        encodes, scores: the two modules.
        spec: its mean label is where scores start from.
        objective: says in which units a score is.
        constants: of each module that has some, under "encoder" and "scorer".
    """
    call, call_scorer = caller(encodes, constants.get("encoder", {})), caller(scores, constants.get("scorer", {}))

    def encode(
        params: Params, context: Features, support: Support, x: Features | None, key: PRNGKeyArray | None = None
    ) -> Encoding:
        key = support.key if key is None else key
        # The support and the query of one task draw apart.
        key = None if key is None else jax.random.fold_in(key, int(x is not None))
        return call([params["tables"], params["encoder"]], key)(context, support, x)

    def score(params: Params, encoding: Encoding) -> Float[Array, "n"]:
        # A score that only ranks starts from 0: the mean label is in other units.
        start = objective.link(jnp.asarray(spec.mean)) if objective.rates else 0.0
        return start + call_scorer([params["scorer"]], None)(encoding)

    return encode, score


def with_constants(model: Model, constants: Constants) -> Model:
    """The model, reading other constants of the same shapes: tracers, inside a compiled program."""
    if model.bind is None:
        return model
    encode, score = model.bind(constants)
    return model._replace(encode=encode, score=score, constants=constants)


def hash_constants(constants: Constants) -> str:
    """Hash a model's constants by sha256: their paths, types, shapes and values."""
    digest = hashlib.sha256()
    for path, leaf in jax.tree_util.tree_leaves_with_path(constants):
        values = np.asarray(leaf)
        digest.update(f"{jax.tree_util.keystr(path)} {values.dtype} {values.shape}".encode())
        digest.update(np.ascontiguousarray(values).tobytes())
    return digest.hexdigest()


def split(module: nnx.Module, *kinds: Any) -> tuple[Any, ...]:
    """A module's definition, and its constants, randomness and parameters (by kinds) as plain dicts."""
    definition, *states = nnx.split(module, Constant, nnx.RngState, *kinds, graph=False)
    return (definition, *(nnx.to_pure_dict(state) for state in states))


def structure(part: str, make: Callable[[PRNGKeyArray], Any], *kinds: Any) -> Structure:
    """Describe a module and its arrays by shapes; none is allocated.

    Args:
        part: "encoder" or "scorer", for messages.
        make: the module of a key.
        kinds: filters, to tell its parameters apart by.

    Raises:
        UserError: where it holds what is neither trained nor constant.
    """

    def checked(key: PRNGKeyArray):
        module = make(key)
        check_arrays(part, module)
        return nnx.split(module, Constant, nnx.RngState, *kinds, graph=False)

    definition, *states = jax.eval_shape(checked, jax.random.key(0))
    constants, randomness, *params = (nnx.to_pure_dict(state) for state in states)
    kernels = frozenset(
        path for state in states for path, value in nnx.to_flat_state(state) if isinstance(value, Kernel)
    )
    return Structure(nnx.merge(definition, *states), definition, constants, randomness, params, kernels)


def check_arrays(part: str, module: nnx.Module) -> None:
    """Refuse arrays of a module that are neither trained nor constant.

    Raises:
        UserError: naming one.
    """

    def dotted(*path: Any) -> str:
        return ".".join(map(str, (part, *path)))

    for path, inner in nnx.iter_modules(module):
        for name, value in vars(inner).items():
            if isinstance(value, jax.Array | np.ndarray):
                raise UserError(
                    f"{dotted(*path, name)} is a plain array: hold it as recmeta.models.layers.Constant, which nobody "
                    "trains, or as flax.nnx.Param, which is trained"
                )
    for path, variable in nnx.to_flat_state(nnx.state(module)):
        kind = type(variable).__name__
        if not isinstance(variable, nnx.Param | Constant | nnx.RngState):
            raise UserError(
                f"{dotted(*path)} is a {kind}, which is neither trained nor constant: a model keeps no state from one "
                "task to the next; use recmeta.models.layers.Constant, or flax.nnx.LayerNorm in place of BatchNorm"
            )
        if isinstance(variable, nnx.Param) and not jnp.issubdtype(variable.dtype, jnp.floating):
            raise UserError(
                f"{dotted(*path)} is a {kind} of {variable.dtype}, which has no gradient: hold it as "
                "recmeta.models.layers.Constant"
            )


def make_constants(make: Callable[[PRNGKeyArray], Any], structure: Structure) -> PyTree:
    """A module's constants; an empty dict where it has none, and then nothing is made."""
    if not structure.constants:
        return {}
    # Outside of any trace: an array that a compiled program returns would be written into that program first.
    return jax.tree.map(jnp.asarray, split(make(jax.random.key(0)), ...)[1])


def caller(structure: Structure, constants: PyTree) -> Callable[..., Callable[..., Any]]:
    """``(params, key) -> module``, to be called. With a key it is in training mode, and else in evaluation mode."""
    has_modes = any(hasattr(inner, "deterministic") for _, inner in nnx.iter_modules(structure.module))
    takes_key = "key" in inspect.signature(type(structure.module).__call__).parameters

    def call(params: list[PyTree], key: PRNGKeyArray | None) -> Callable[..., Any]:
        own, layers = (None, None) if key is None else jax.random.split(key)
        states = constants, random_state(structure.randomness, layers), *params
        module: Any = nnx.merge(structure.definition, *map(nnx.State, states))
        if has_modes:
            module.eval() if key is None else module.train()
        return (lambda *args: module(*args, key=own)) if takes_key else module

    return call


def random_state(shapes: PyTree, key: PRNGKeyArray | None) -> PyTree:
    """The state of a module's random streams, each begun by a key of its own; without one, nobody draws from them."""
    leaves, structure = jax.tree.flatten(shapes)

    def one(leaf: Any, key: PRNGKeyArray) -> Array:
        is_key = jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
        return jax.random.split(key, leaf.shape) if is_key else jnp.zeros(leaf.shape, leaf.dtype)

    keys = jax.random.split(jax.random.key(0) if key is None else key, len(leaves)) if leaves else []
    return structure.unflatten([one(leaf, key) for leaf, key in zip(leaves, keys, strict=True)])
