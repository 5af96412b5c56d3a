"""Hold one task's exact change of a dense matrix under gradient descent as two thin factors; no approximation.

A descent step changes a matrix by minus the rate times ``inputs.T @ slopes``, with the inputs of its layer on the
support and the loss's slopes at its outputs: a matrix of no higher rank than the support has rows. Held as these two, a
task never has a copy of the matrix; products with the shared one are one product for all tasks. This is exact, and may
be differentiated through.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
from jax.extend.core import Literal as Constant
from jaxtyping import Array, Float

from recmeta.types import Params

FastWeights = Literal["auto", "dense", "factored"]
"""How a task holds the matrices that adapt: whole, as factors, or whichever of the two is smaller."""

Path = tuple[Any, ...]


class Factors(NamedTuple):
    """One task's change of a kernel: ``inputs.T @ change``. Rows of inputs that are zeros are not filled yet."""

    inputs: Float[Array, "*T P a"]
    change: Float[Array, "*T P b"]


@jax.tree_util.register_dataclass
@dataclass(frozen=True)
class Corrected:
    """A kernel under its change, for inputs to be multiplied by."""

    kernel: Any
    factors: Factors

    def __rmatmul__(self, x: Float[Array, "*n a"]) -> Float[Array, "*n b"]:
        """``x @ self``."""
        # Not `x @ inputs.T`: the derivative would keep the transposed inputs beside the inputs, for every step.
        return x @ self.kernel + jnp.einsum("...a,pa->...p", x, self.factors.inputs) @ self.factors.change

    def __getitem__(self, index):
        """Nothing but itself, ``[...]``: `flax.nnx` asks for it so."""
        return self


class Factoring(NamedTuple):
    """A descent with some of its kernels as factors.

    Attributes:
        gradient: of the support loss, where the descent is; of the tree of ``start``. Further arguments are the loss's.
        start: what adapts. In the place of a kernel, the change alone, ``[P, b]``, where the layer's inputs are the
            same in every step, and else `Factors`, to be filled step by step.
        place: ``start``, after the descent, with `Factors` for all kernels that are held so.
    """

    gradient: Callable[..., Params]
    start: Params
    place: Callable[[Params], Params]


class _Stand:
    """A kernel of the inner loop: it notes the inputs, and adds to the outputs a probe, whose slope is then theirs."""

    def __init__(self, multiply: Callable[[Array, slice], Array], probe: Array | None = None):
        self.multiply, self.probe = multiply, probe
        self.seen: list[Array] = []

    def __rmatmul__(self, x: Array) -> Array:
        rows, begin = x.reshape(-1, x.shape[-1]), sum(map(len, self.seen))
        at = slice(begin, begin + len(rows))
        self.seen.append(rows)
        out = self.multiply(rows, at)
        out = out if self.probe is None else out + self.probe[at]
        return out.reshape(*x.shape[:-1], out.shape[-1])

    def __getitem__(self, index):
        return self

    def inputs(self) -> Array:
        return jnp.concatenate(self.seen)


# Long: four closures over one descent's shapes, each used by the next.
def factor(
    loss: Callable[..., Array],
    start: Params,
    kernels: frozenset[Path],
    *,
    steps: int,
    constant: int,
    choice: FastWeights,
) -> Factoring:
    """Hold kernels as factors: all of those that adapt under "factored", none under "dense".

    Under "auto" those whose factors, after all steps, are smaller than the matrix.

    Args:
        loss: of what adapts, on the support of one task; a step may give it further arguments.
        start: what adapts.
        kernels: paths of matrices that inputs are multiplied by and nothing else; those in start count.
        steps: of the descent.
        constant: of the first so many steps, the changes are constants to the outer gradient.
        choice: see `FastWeights`.
    """
    held = {path: leaf for path, leaf in _leaves(start).items() if path in kernels}
    if choice == "dense" or not held:
        return Factoring(jax.grad(loss), start, lambda fast: fast)

    noted = partial(_inputs, loss, paths=list(held))
    seen = noted(start)
    # Inputs that stay serve all steps at once, where they are either constants in all of them or in none.
    alike = constant in (0, steps)
    stays = _constant(lambda start: list(noted(start).values()), start)
    fixed = {path: alike and same for path, same in zip(seen, stays, strict=True)}
    ranks = {path: len(rows) * (1 if fixed[path] else steps) for path, rows in seen.items()}
    taken = [path for path in seen if choice == "factored" or ranks[path] * sum(held[path].shape) < held[path].size]
    # What the matrix makes of inputs that stay is worked out once, and so are their inner products.
    known = {path: (seen[path] @ held[path], seen[path] @ seen[path].T) for path in taken if fixed[path]}

    def empty(path: Path) -> Array | Factors:
        change = jnp.zeros((ranks[path], held[path].shape[1]), held[path].dtype)
        return change if fixed[path] else Factors(jnp.zeros((ranks[path], held[path].shape[0]), change.dtype), change)

    def multiply(path: Path, change: Any) -> Callable[[Array, slice], Array]:
        if fixed[path]:
            product, gram = known[path]
            return lambda rows, at: product[at] + gram[at] @ change
        return lambda rows, at: rows @ Corrected(held[path], change)

    def gradient(fast: Params, *more: Any) -> Params:
        def probed(rest: Params, probes: Mapping[Path, Array]) -> tuple[Array, dict[Path, Array]]:
            changes = {path: leaf for path, leaf in _leaves(fast).items() if path in probes}
            stands = {path: _Stand(multiply(path, changes[path]), probe) for path, probe in probes.items()}
            value = loss(_replaced(rest, stands), *more)
            return value, {path: stand.inputs() for path, stand in stands.items()}

        rest = _replaced(fast, dict.fromkeys(taken, ()))
        probes = {path: jnp.zeros((len(seen[path]), held[path].shape[1]), held[path].dtype) for path in taken}
        (slopes, outputs), rows = jax.grad(probed, argnums=(0, 1), has_aux=True)(rest, probes)
        return _replaced(slopes, {p: outputs[p] if fixed[p] else Factors(rows[p], outputs[p]) for p in taken})

    def place(fast: Params) -> Params:
        kept = {path: jax.lax.stop_gradient(rows) if constant else rows for path, rows in seen.items()}
        leaves = _leaves(fast)
        return _replaced(fast, {path: Factors(kept[path], leaves[path]) for path in taken if fixed[path]})

    return Factoring(gradient, _replaced(start, {path: empty(path) for path in taken}), place)


def scaled(leaf: Any, size: float | Array) -> Any:
    """A change times a number; of `Factors`, of their product."""
    return leaf._replace(change=size * leaf.change) if isinstance(leaf, Factors) else size * leaf


def plus(leaf: Any, change: Any, number: Array) -> Any:
    """Add a step to the adapted parameters; of `Factors`, put the rows of this step in their place."""
    if not isinstance(leaf, Factors):
        return leaf + change
    begin = number * len(change.inputs)
    return Factors(*(jax.lax.dynamic_update_slice_in_dim(a, b, begin, 0) for a, b in zip(leaf, change, strict=True)))


def is_factors(leaf: Any) -> bool:
    """Whether a node of a tree is to be taken as one leaf."""
    return isinstance(leaf, Factors)


def _leaves(tree: Params) -> dict[Path, Any]:
    flat, _ = jax.tree_util.tree_flatten_with_path(tree, is_leaf=is_factors)
    return {tuple(entry.key for entry in path): leaf for path, leaf in flat}


def _replaced(tree: Params, leaves: Mapping[Path, Any], here: Path = ()) -> Params:
    if here in leaves:
        return leaves[here]
    return (
        {key: _replaced(part, leaves, (*here, key)) for key, part in tree.items()} if isinstance(tree, dict) else tree
    )


def _inputs(loss: Callable[[Params], Array], start: Params, paths: Sequence[Path]) -> dict[Path, Array]:
    """The inputs of each of some kernels, where the loss reaches it."""
    leaves = _leaves(start)
    stands = {path: _Stand(partial(_product, leaves[path])) for path in paths}
    loss(_replaced(start, stands))
    return {path: stand.inputs() for path, stand in stands.items() if stand.seen}


def _product(kernel: Array, rows: Array, at: slice) -> Array:
    del at
    return rows @ kernel


def _constant(function: Callable[[Params], Any], argument: Params) -> Sequence[bool]:
    """Whether each value of a function is the same whatever the argument."""
    program = jax.make_jaxpr(function)(argument).jaxpr
    depends = set(program.invars)
    for line in program.eqns:
        if any(not isinstance(variable, Constant) and variable in depends for variable in line.invars):
            depends.update(line.outvars)
    return [isinstance(out, Constant) or out not in depends for out in program.outvars]
