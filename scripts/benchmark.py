"""Tasks per second of the MeLU-shaped step: recmeta through its public parts beside a plain hand-written program.

The work: 4 context and 4 row fields of 32 each, a head 256-64-64-1, second-order MAML on the head by SGD, Adam over
everything, 10 support and 10 query rows; synthetic ids, vocabularies of ML-1M's size. recmeta as it is by default and
with `fast_weights=dense`. Rounds alternate between the programs; the medians and their ratio are printed. recmeta's
rounds include drawing the tasks and meta-validation.

    python scripts/benchmark.py [--batch 32] [--inner-steps 1] [--rounds 5] [--steps 200]
"""

from __future__ import annotations

import argparse
import statistics
import time
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax

from recmeta.encoders.features import features
from recmeta.learners.adaptation.inner import Inner
from recmeta.learners.adaptation.kernels import FastWeights
from recmeta.learners.maml import maml
from recmeta.metrics import metric
from recmeta.models.model import make_model
from recmeta.objectives import pointwise as objectives
from recmeta.protocols import sampling
from recmeta.scorers.mlp import mlp
from recmeta.training import chunk as train
from recmeta.types import DataSpec, Field, Problem, Split, Tasks

CONTEXT, ROW = (2, 7, 21, 3402), (6, 25, 2186, 8030)
SUPPORT = QUERY = 10
RATE, WIDTH = 0.01, 32


def make_problem(users: int = 2000, rows: int = 40) -> Problem:
    """A problem of random features and labels, whose values do not affect the time."""
    rng = np.random.default_rng(0)

    def side(name: str, sizes: tuple[int, ...]) -> tuple[Field, ...]:
        return tuple(Field(f"{name}{i}", "categorical", size) for i, size in enumerate(sizes))

    def table(fields: tuple[Field, ...], number: int):
        return {field.name: jnp.asarray(rng.integers(field.size, size=number)) for field in fields}

    spec = DataSpec(
        context=side("u", CONTEXT),
        row=side("i", ROW),
        low=1.0,
        high=5.0,
        mean=3.5,
        like=4.0,
        levels=(1.0, 2.0, 3.0, 4.0, 5.0),
        support=SUPPORT,
        query=QUERY,
        rows=users * rows,
    )
    start, size = jnp.arange(users) * rows, jnp.full(users, rows)
    item, label = rng.integers(3000, size=users * rows), rng.integers(1, 6, users * rows)
    tasks = Tasks(
        jnp.arange(users), start, size, jnp.asarray(item), jnp.asarray(label, jnp.float32),
        table(spec.context, users), table(spec.row, 3000),
    )  # fmt: skip
    draw = partial(sampling.draw, order="random", support=SUPPORT, query=QUERY, least=QUERY, shots=(SUPPORT,))
    gather = partial(sampling.gather, support=SUPPORT)
    validation = gather(tasks, draw(jax.random.key(0), tasks, 8))
    return Problem(spec, Split(None, "", {}, {}), tasks, draw, gather, validation, {}, {}, (SUPPORT,), SUPPORT)


def recmeta_program(problem: Problem, batch: int, inner_steps: int, steps: int, fast_weights: FastWeights):
    """Returns a function that runs one round of recmeta: one compiled chunk."""
    objective = objectives.mse()
    model = make_model(partial(features, width=WIDTH), partial(mlp, hidden=(64, 64)), problem.spec, objective)
    learner = maml(
        spec=problem.spec, model=model, objective=objective, inner_steps=inner_steps, inner_rate=RATE,
        first_order=False, adapts="head", inner=Inner(fast_weights=fast_weights),
    )  # fmt: skip
    optimizer, mae = optax.adam(1e-3), metric("mae")
    chunk = train.make_chunk(
        lambda *_: learner, objective, lambda _: optimizer, problem, [mae], metric=mae, steps=steps, total=steps,
        batch=batch, patience=None,
    )  # fmt: skip
    progress = train.initial_progress(lambda *_: learner, lambda _: optimizer, {}, [0], "min")

    def round_() -> None:
        nonlocal progress
        progress, *_ = chunk(progress, {}, problem.train, problem.validation)
        jax.block_until_ready(progress.state.params)

    return round_


def plain_program(problem: Problem, batch: int, inner_steps: int, steps: int, whole: bool):
    """Returns a function that runs one round of a hand-written program: jit(vmap(scan)), batches made beforehand.

    Args:
        problem: source of the batches.
        batch, inner_steps, steps: as for recmeta.
        whole: all steps as one scan; else one call per step.
    """
    keys = jax.random.split(jax.random.key(1), 8)
    batches = [problem.gather(problem.train, problem.draw(key, problem.train, batch)) for key in keys]
    initial = jax.nn.initializers.lecun_normal()
    key = jax.random.split(jax.random.key(2), 11)
    sizes, layers = (*CONTEXT, *ROW), ((256, 64), (64, 64), (64, 1))
    params = {
        "tables": [0.1 * jax.random.normal(k, (size, WIDTH)) for k, size in zip(key, sizes, strict=False)],
        "head": [(initial(k, shape), jnp.zeros(shape[1])) for k, shape in zip(key[8:], layers, strict=True)],
    }

    def forward(head, x):
        for w, b in head[:-1]:
            x = jax.nn.relu(x @ w + b)
        return (x @ head[-1][0] + head[-1][1])[:, 0] + 3.5

    def encode(tables, context, x):
        user = jnp.concatenate([t[context[f"u{i}"]] for i, t in enumerate(tables[:4])])
        item = jnp.concatenate([t[x[f"i{i}"]] for i, t in enumerate(tables[4:])], axis=-1)
        return jnp.concatenate([jnp.broadcast_to(user, (len(item), len(user))), item], axis=-1)

    def task_loss(params, task, label):
        support, query = (encode(params["tables"], task.context, x) for x in (task.support.x, task.query.x))
        error = lambda head: jnp.mean(jnp.square(forward(head, support) - task.support.y))  # noqa: E731
        descend = lambda head, _: (jax.tree.map(lambda a, g: a - RATE * g, head, jax.grad(error)(head)), None)  # noqa: E731
        head, _ = jax.lax.scan(descend, params["head"], length=inner_steps)
        return jnp.mean(jnp.square(forward(head, query) - label))

    optimizer = optax.adam(1e-3)

    def step(state, data):
        params, opt_state = state
        loss = lambda p: jax.vmap(partial(task_loss, p))(data.task, data.label).mean()  # noqa: E731
        updates, opt_state = optimizer.update(jax.grad(loss)(params), opt_state)
        return (optax.apply_updates(params, updates), opt_state), None

    state = (params, optimizer.init(params))
    if whole:
        stacked = jax.tree.map(lambda *x: jnp.stack([x[i % len(x)] for i in range(steps)]), *batches)
        run = jax.jit(lambda state: jax.lax.scan(step, state, stacked)[0], donate_argnums=0)
        rounds = [()]
    else:
        run = jax.jit(lambda state, data: step(state, data)[0], donate_argnums=0)
        rounds = [(batches[i % len(batches)],) for i in range(steps)]

    def round_() -> None:
        nonlocal state
        for arguments in rounds:
            state = run(state, *arguments)
        jax.block_until_ready(state)

    return round_


def main() -> None:
    """Time the programs in turn and print their medians."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("batch", 32), ("inner-steps", 1), ("rounds", 5), ("steps", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    a = parser.parse_args()
    problem = make_problem()
    programs = {
        "recmeta": recmeta_program(problem, a.batch, a.inner_steps, a.steps, "auto"),
        "recmeta, dense": recmeta_program(problem, a.batch, a.inner_steps, a.steps, "dense"),
        "plain, a call a step": plain_program(problem, a.batch, a.inner_steps, a.steps, whole=False),
        "plain, one scan": plain_program(problem, a.batch, a.inner_steps, a.steps, whole=True),
    }
    rates: dict[str, list[float]] = {name: [] for name in programs}
    for number in range(a.rounds + 1):
        for name, run in programs.items():
            began = time.perf_counter()
            run()
            if number:  # the first round compiles
                rates[name].append(a.batch * a.steps / (time.perf_counter() - began))
    ours = statistics.median(rates["recmeta"])
    print(f"batch {a.batch}, {a.inner_steps} inner step(s), second order, {jax.devices()[0].device_kind}")
    for name, values in rates.items():
        middle = statistics.median(values)
        spread = f"{min(values):,.0f} to {max(values):,.0f}"
        print(f"{name:22} {middle:9,.0f} tasks/s ({spread})   recmeta is {ours / middle:.2f} times that")


if __name__ == "__main__":
    main()
