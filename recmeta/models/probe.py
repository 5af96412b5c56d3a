"""Probe a model on shapes: how it looks up its tables, and which matrices its inputs are multiplied by.

Adaptation depends on both: a task keeps changes of the rows that it looks up, and an adapter stands where inputs are
multiplied. An encoder that does either in a way that can't be followed is refused here, in a line, before anything is
computed or written.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.core import Tracer
from jax.extend.core import Literal
from jaxtyping import Array

from recmeta.types import Features, Model, Params, Support, Task, UserError

SAME = ("reshape", "transpose", "convert_element_type", "copy", "stop_gradient", "optimization_barrier")
"""Operations after which a parameter is still that parameter, laid out in another way."""

CALLS = ("pjit", "jit", "closed_call", "core_call", "remat2", "checkpoint", "custom_jvp_call", "custom_vjp_call")
"""Operations that run a program once, and not in a loop."""

Path = tuple[Any, ...]


class Recorder:
    """A table that notes which of its rows are looked up, ``table[...][index]``."""

    def __init__(self, table: Array):
        self.table, self.seen = table, [jnp.zeros(0, jnp.int32)]

    def __getitem__(self, index):
        """Look rows up; all of them, ``[...]``, is the table itself: `flax.nnx` asks for it so."""
        if index is Ellipsis:
            return self
        self.seen.append(jnp.ravel(index))
        return self.table[index]


def touched(model: Model, params: Params, context: Features, support: Support) -> Params:
    """The rows of each table that encoding the support looks up, in the order and as often as it does.

    An encoder must index its tables outside of any loop of its own.

    Returns:
        ``params["tables"]`` with int ``[P]`` in the place of tables.
    """
    recorders = jax.tree.map(Recorder, params["tables"])
    model.encode({**params, "tables": recorders}, context, support, None)
    return jax.tree.map(lambda recorder: jnp.concatenate(recorder.seen), recorders)


class Uses(NamedTuple):
    """The parameters, by path, that inputs are multiplied by, and those that rows are looked up in."""

    multiplied: set[Path]
    looked_up: set[Path]


def probe(model: Model, tasks: Task) -> Model:
    """Check a model on the shapes of one task; nothing is computed.

    Args:
        model: from `recmeta.models.model`.
        tasks: some, with a leading axis: their shapes alone are read.

    Returns:
        The model, which knows its matrices that no adapter reaches.

    Raises:
        UserError: for a table that is looked up in another way than ``table[...][index]``, or that is no
            `recmeta.models.fields.Table`, and for representations of other widths than the encoder says.
    """
    task = jax.tree.map(lambda values: jax.ShapeDtypeStruct(values.shape[1:], values.dtype), tasks)
    key = jax.eval_shape(lambda: jax.random.key(0))
    params = jax.eval_shape(model.init, key)
    check_widths(model, params, task)
    check_tables(model, params, task)
    uses = uses_of(model, params, task._replace(support=task.support._replace(key=key)))
    for path in sorted(uses.looked_up, key=str):
        raise UserError(
            f"{dotted(path)}: the encoder looks rows up in it, and a task could not adapt those alone: hold it as "
            "recmeta.models.fields.Table, look it up as table[...][index], and leave flax.nnx.Embed"
        )
    return model._replace(unreached=frozenset(uses.multiplied - model.kernels))


def check_widths(model: Model, params: Params, task: Task) -> None:
    """Refuse an encoder whose representations differ in width or number from its contract.

    Raises:
        UserError: saying what they are.
    """
    for x, rows in ((task.query.x, len(task.query.mask)), (None, len(task.support.mask))):
        encoding = jax.eval_shape(model.encode, params, task.context, task.support, x)
        got = tuple(part.shape for part in encoding)
        wide = tuple(shape[-1] for shape in got) == tuple(model.widths)
        if not wide or got[1][0] != rows or got[0][0] not in (1, rows):
            raise UserError(
                f"encoder: of {rows} rows it gives context {list(got[0])} and row {list(got[1])}; by its widths it "
                f"must give [1 or {rows}, {model.widths[0]}] and [{rows}, {model.widths[1]}]"
            )


def check_tables(model: Model, params: Params, task: Task) -> None:
    """Refuse an encoder that looks a table up in a way that can't be followed: it works for the table itself.

    Raises:
        UserError: naming the table.
    """
    if (failed := lookup_fails(model, params, task, params["tables"])) is None:
        return
    flat, structure = jax.tree_util.tree_flatten_with_path(params["tables"])
    for place, (path, _) in enumerate(flat):
        alone = structure.unflatten([index == place for index in range(len(flat))])
        if (error := lookup_fails(model, params, task, alone)) is not None:
            name, failed = dotted(("encoder", *(entry.key for entry in path))), error
            break
    else:
        name = "encoder"
    raise UserError(
        f"{name}: this table is looked up in a way that adaptation can't follow ({type(failed).__name__}); write "
        "table[...][index], with an array of integers, outside of any loop of the encoder's own, and nothing else"
    ) from failed


def lookup_fails(model: Model, params: Params, task: Task, recorded: Any) -> Exception | None:
    """Encode with recorders in place of tables, and return the error; None without one.

    Args:
        model, params, task: as shapes.
        recorded: like the tables; for which of them to have one.
    """

    def encode(params: Params, task: Task) -> Any:
        def one(table: Array, here: Any) -> Any:
            return table if here is False else Recorder(table)

        recorders = jax.tree.map(one, params["tables"], recorded)
        for x in (None, task.query.x):
            model.encode({**params, "tables": recorders}, task.context, task.support, x)
        held = [leaf for leaf in jax.tree.leaves(recorders) if isinstance(leaf, Recorder)]
        return [jnp.concatenate(recorder.seen) for recorder in held]

    try:
        program = jax.make_jaxpr(encode)(params, task)
    except (TypeError, ValueError, AttributeError, IndexError, jax.errors.UnexpectedTracerError) as error:
        return error
    # An index that is known inside of a loop alone comes out as if it were a constant.
    leaked = [value for value in program.consts if isinstance(value, Tracer)]
    return jax.errors.UnexpectedTracerError("an index of a loop") if leaked else None


def uses_of(model: Model, params: Params, task: Task) -> Uses:
    """Find the parameters that inputs are multiplied by or looked up in, outside of loops, on support and query."""

    def program(params: Params, task: Task) -> Any:
        encode = lambda x: model.encode(params, task.context, task.support, x)  # noqa: E731
        return [model.score(params, encode(x)) for x in (None, task.query.x)]

    closed = jax.make_jaxpr(program)(params, task)
    paths = [tuple(entry.key for entry in path) for path, _ in jax.tree_util.tree_leaves_with_path(params)]
    variables = closed.jaxpr.invars
    # Tables have a check of their own.
    known = {variable: path for variable, path in zip(variables, paths, strict=False) if path[0] != "tables"}
    uses = Uses(set(), set())
    note_uses(closed.jaxpr, known, set(variables[len(paths) :]), uses)
    return uses


def note_uses(program: Any, known: Mapping[Any, Path], inputs: set[Any], uses: Uses) -> tuple[dict[Any, Path], set]:
    """Note how a program uses parameters.

    Args:
        program: a jaxpr.
        known: its variables that are parameters.
        inputs: its variables that depend on the task.
        uses: added to.

    Returns:
        Both, of all its variables.
    """
    known, inputs = dict(known), set(inputs)

    def parameter(variable: Any) -> Path | None:
        return None if isinstance(variable, Literal) else known.get(variable)

    def depends(variables: Iterable[Any]) -> bool:
        return any(not isinstance(variable, Literal) and variable in inputs for variable in variables)

    for line in program.eqns:
        name, first = line.primitive.name, line.invars[0] if line.invars else None
        within = inner_program(line) if name in CALLS else None
        if within is not None:
            pairs = list(zip(within.invars, line.invars, strict=True))
            passed = {inside: path for inside, outside in pairs if (path := parameter(outside)) is not None}
            given = {inside for inside, outside in pairs if depends([outside])}
            inside_known, inside_inputs = note_uses(within, passed, given, uses)
            for out, result in zip(line.outvars, within.outvars, strict=True):
                if isinstance(result, Literal):
                    continue
                known |= {out: inside_known[result]} if result in inside_known else {}
                inputs |= {out} if result in inside_inputs else set()
            continue
        if name == "dot_general":
            uses.multiplied.update(path for side in line.invars if (path := parameter(side)) is not None)
        if name in ("gather", "dynamic_slice") and (path := parameter(first)) and depends(line.invars[1:]):
            uses.looked_up.add(path)
        if name in SAME and (path := parameter(first)):
            known |= dict.fromkeys(line.outvars, path)
        if depends(line.invars):
            inputs.update(line.outvars)
    return known, inputs


def inner_program(line: Any) -> Any:
    """The program that an operation runs, of the same arguments; None where it has none."""
    found = next((line.params[name] for name in ("jaxpr", "call_jaxpr") if name in line.params), None)
    inner = getattr(found, "jaxpr", found)
    return inner if inner is not None and len(inner.invars) == len(line.invars) else None


def dotted(path: Path) -> str:
    """A parameter's path, as a user writes it."""
    return ".".join(map(str, path))
