"""Dropout, frozen vectors, other users' rows, relations: each built, trained, evaluated, and checked against numpy."""

from dataclasses import replace
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recmeta.encoders.features import features
from recmeta.evaluation import score as scoring
from recmeta.evaluation.predict import test_learner as evaluate
from recmeta.learners.maml import maml
from recmeta.learners.ridge import ridge
from recmeta.metrics import metric
from recmeta.models.model import make_model, with_constants
from recmeta.models.probe import probe
from recmeta.objectives import mse
from recmeta.scorers.dot import dot
from recmeta.training.chunk import initial_progress, make_chunk, run_chunks, with_keys
from recmeta.types import ENTITY, Relation
from tests.encoders import examples

STEPS, WIDTH = 2, 2
ENCODERS = {
    "dropped": partial(examples.dropped, width=WIDTH, rate=0.5),
    "noisy": partial(examples.noisy, width=WIDTH),
    "frozen": partial(examples.frozen, width=WIDTH),
    "remembers": partial(examples.remembers, width=WIDTH),
    "propagates": partial(examples.propagates, width=WIDTH, relation="similar"),
    "worded": partial(examples.worded, width=WIDTH, feature="job"),
}
LEARNERS = {
    "maml": partial(maml, inner_steps=1, inner_rate=0.1, first_order=False, adapts="all"),
    "ridge": partial(ridge, level_scale=0.5, weight_scale=0.5),
}
METRICS = [metric("mae")]
OPTIMIZER = optax.adam(0.05)


@pytest.fixture(scope="module")
def known(data, cut):
    """The small data set, cut, with a relation of items."""
    rng = np.random.default_rng(1)
    source, target = (rng.integers(len(data.items.ids), size=60).astype(np.int32) for _ in range(2))
    similar = Relation(("item", "item"), source, target, rng.uniform(0.5, 2, 60).astype(np.float32))
    return cut(replace(data, relations={"similar": similar}))


def model_of(problem, name, **changed):
    made = make_model(
        partial(ENCODERS[name], **changed), partial(dot, width=2), problem.spec, mse(),
        problem.background, problem.transform,
    )  # fmt: skip
    return probe(made, problem.validation.task)


def learner_of(problem, model, name):
    return lambda numbers, constants: LEARNERS[name](
        spec=problem.spec, model=with_constants(model, constants), objective=mse()
    )


def chunk_of(problem, learner):
    return make_chunk(
        learner, mse(), lambda _: OPTIMIZER, problem, METRICS, metric=METRICS[0], steps=STEPS, total=2 * STEPS,
        batch=4, patience=None,
    )  # fmt: skip


def trained(problem, model, name, seeds):
    """The progress after two chunks."""
    learner = learner_of(problem, model, name)
    progress = initial_progress(learner, lambda _: OPTIMIZER, {}, seeds, "min", model.constants)
    start = jax.tree.map(np.array, progress.state.params)
    chunks = run_chunks(progress, chunk_of(problem, learner), {}, problem, steps=2 * STEPS, constants=model.constants)
    *_, (progress, reported) = chunks
    assert np.isfinite(reported.validation["mae"]).all()
    moved = jax.tree.map(lambda a, b: np.abs(a - b).max() > 0, start, jax.tree.map(np.array, progress.state.params))
    assert all(jax.tree.leaves(moved["scorer"]))
    return progress


def paths(tree):
    return {jax.tree_util.keystr(path) for path, _ in jax.tree_util.tree_leaves_with_path(tree)}


@pytest.mark.parametrize("learner", ["maml", pytest.param("ridge", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", ["dropped", "frozen", "remembers", "propagates"])
def test_trained_and_none_of_its_constants_is_in_what_a_checkpoint_holds(known, name, learner):
    model = model_of(known, name)
    progress = trained(known, model, learner, [0])
    constants = paths(model.constants)
    assert bool(constants) == (name != "dropped")
    held = paths(progress)
    assert {
        path for path in held if "vectors" in path or "label" in path or "source" in path or "rngs" in path
    } == set()
    plain = paths(
        make_model(partial(features, width=WIDTH), partial(dot, width=2), known.spec, mse()).init(jax.random.key(0))
    )
    assert paths(progress.state.params) - plain <= {"['tables']['table']", "['head']['log_scale']"}


@pytest.mark.slow
def test_a_seed_alone_is_that_seed_among_others_and_tested_twice_it_is_the_same(known):
    model = model_of(known, "frozen")
    alone, both = (trained(known, model, "ridge", seeds) for seeds in ([1], [0, 1]))
    close = partial(np.testing.assert_allclose, rtol=1e-4, atol=1e-5)
    jax.tree.map(lambda a, b: close(a[0], b[1]), alone.state.params, both.state.params)
    dropped = model_of(known, "dropped")
    params = jax.tree.map(lambda leaf: leaf[None], dropped.init(jax.random.key(0)))
    params |= {"head": {"log_scale": jnp.zeros((1, 1 + dropped.widths[1]))}}
    scored = scoring.make_scored(METRICS, known.spec)
    first, second, without = (
        evaluate(
            learner_of(known, model, "ridge"), mse(), known, params, {}, METRICS, [], scored, model.constants, None
        )
        for model in (dropped, dropped, model_of(known, "dropped", rate=0.0))
    )
    for other in (second, without):
        np.testing.assert_array_equal(first["user_cold"].scores["mae"], other["user_cold"].scores["mae"])


@pytest.fixture(scope="module")
def task(known):
    """A test task, and below a training task, whose own rows are in the memory."""
    return jax.tree.map(lambda values: values[0], known.test["user_cold"].task)


def encoded(model, task, x="query"):
    params = model.init(jax.random.key(0))
    return params, model.encode(params, task.context, task.support, task.query.x if x == "query" else None)


def test_a_frozen_vector_stands_beside_its_item(known, task):
    _, encoding = encoded(model_of(known, "frozen"), task)
    np.testing.assert_allclose(encoding.row[:, -3:], examples.vectors(known.spec)[np.asarray(task.query.x["id"])])


def mean_label(data, known, item_code, left_out):
    """By the manifest: the mean over the meta-train rows of an item, less one user's."""
    frame = known.split.frame.filter(role="train")
    rows, codes = frame["row"].to_numpy(), np.asarray(known.train.entities["id"])
    mine = rows[(codes[data.item[rows]] == item_code) & (data.user[rows] != left_out)]
    return data.label[mine].mean() if len(mine) else known.spec.mean


def test_what_others_rated_is_their_mean_label(data, known, task):
    model = model_of(known, "remembers")
    _, encoding = encoded(model, task)
    wanted = [mean_label(data, known, code, -1) for code in np.asarray(task.query.x["id"])]
    np.testing.assert_allclose(encoding.row[:, -1], wanted, rtol=1e-5)
    batch = known.gather(known.train, known.draw(jax.random.key(0), known.train, 4))
    for place in range(4):
        training = jax.tree.map(lambda values, place=place: values[place], batch.task)
        _, encoding = encoded(model, training)
        own = int(training.context[ENTITY])
        wanted = [mean_label(data, known, code, own) for code in np.asarray(training.query.x["id"])]
        with_own = [mean_label(data, known, code, -1) for code in np.asarray(training.query.x["id"])]
        np.testing.assert_allclose(encoding.row[:, -1], wanted, rtol=1e-5)
        assert np.abs(np.subtract(wanted, with_own)).max() > 1e-3


def test_one_hop_is_the_weighted_mean_of_the_neighbours(known, task):
    params, encoding = encoded(model_of(known, "propagates"), task)
    table, edges = np.asarray(params["tables"]["table"]), known.background().relations["similar"]
    for row, code in zip(np.asarray(encoding.row), np.asarray(task.query.x["id"]), strict=True):
        near = edges.target == code
        wanted = np.average(table[edges.source[near]], axis=0, weights=edges.weight[near]) if near.any() else 0
        np.testing.assert_allclose(row[-WIDTH:], wanted, rtol=1e-4, atol=1e-6)


def test_the_words_behind_the_codes_come_from_the_fitted_transform(frames, data, known, task):
    users = frames[1]
    job = dict(zip(users["id"], users["job"], strict=True))[str(data.users.ids[int(task.context[ENTITY])])]
    _, encoding = encoded(model_of(known, "worded"), task)
    np.testing.assert_array_equal(encoding.context[0], examples.letters(job))


@pytest.mark.parametrize("name", ["dropped", "noisy"])
def test_without_a_key_all_is_deterministic(known, task, name):
    """As at test: no row is dropped, twice the same."""
    (_, first), (_, second) = (encoded(model_of(known, name), task) for _ in range(2))
    without = {"dropped": {"rate": 0.0}, "noisy": {}}[name]
    _, plain = encoded(model_of(known, name, **without), task)
    for one, two, three in zip(first, second, plain, strict=True):
        np.testing.assert_array_equal(one, two)
        np.testing.assert_array_equal(one, three)


def test_a_key_drops_in_support_and_query_apart_and_in_each_task_apart(known, task):
    model = model_of(known, "dropped")
    params = model.init(jax.random.key(0))
    # Support and query of the same rows.
    same = task._replace(support=task.support._replace(x=jax.tree.map(lambda values: values[:4], task.support.x)))

    def rows(key, x):
        return np.asarray(model.encode(params, same.context, same.support._replace(key=key), x).row)

    first, second, plain = jax.random.key(1), jax.random.key(2), rows(None, None)
    support, query = rows(first, None), rows(first, same.support.x)
    for got in (support, query):
        np.testing.assert_allclose(got, np.where(got == 0, 0, 2 * plain), rtol=1e-6)  # halves dropped, others doubled
        assert 0 < (got == 0).mean() < 1
    np.testing.assert_array_equal(rows(first, None), support)
    assert (support != query).any()
    assert (support != rows(second, None)).any()
    keyed = model.encode(params, same.context, same.support, None, first).row
    np.testing.assert_array_equal(keyed, support)  # as an argument too
    mean = np.mean([rows(key, None) for key in jax.random.split(first, 400)], axis=0)
    np.testing.assert_allclose(mean, plain, atol=5 * np.abs(plain).max() / 20)


def test_in_training_every_task_has_a_key_of_its_own_and_of_its_step(known):
    batch = known.gather(known.train, known.draw(jax.random.key(0), known.train, 4))
    keys = [with_keys(batch, jax.random.key(step)).task.support.key for step in range(2)]
    found = np.concatenate([jax.random.key_data(key) for key in keys])
    assert len(np.unique(found, axis=0)) == 8
    model = model_of(known, "dropped")
    learner = LEARNERS["ridge"](spec=known.spec, model=model, objective=mse())
    params = learner.init(jax.random.key(0))
    gradient = jax.jit(learner.meta_grad)
    losses = [
        float(gradient(params, given, jax.random.key(0))[1]["loss"])
        for given in (batch, with_keys(batch, jax.random.key(0)), with_keys(batch, jax.random.key(1)))
    ]
    assert len(set(losses)) == 3


def test_sixty_four_replicas_share_one_copy_that_is_an_argument(known):
    """Of constants no replica has its own, and the program's text does not hold them."""
    model = model_of(known, "frozen")

    learner = learner_of(known, model, "ridge")
    chunk = chunk_of(known, learner)
    begin = partial(initial_progress, learner, lambda _: OPTIMIZER, {}, list(range(64)), "min")
    progress = jax.eval_shape(begin, model.constants)
    shape = model.constants["encoder"]["vectors"].shape
    lowered = chunk.lower(progress, {}, known.train, known.validation, model.constants)
    arguments = [argument.shape for argument in jax.tree.leaves(lowered.in_avals)]
    assert arguments.count(shape) == 1
    assert (64, *shape) not in arguments
    written = "x".join(map(str, shape)) + "xf32"
    literals = [line for line in lowered.as_text().splitlines() if "constant dense" in line and written in line]
    assert literals == []
    # Closed over instead, they are: what is looked for would be found.
    baked = jax.jit(lambda: model.encode(model.init(jax.random.key(0)), *known_task(known)).row).lower().as_text()
    assert [line for line in baked.splitlines() if "dense" in line and written in line]
    before = sum(array.shape == shape for array in jax.live_arrays())
    progress = begin(model.constants)
    assert sum(array.shape[-2:] == shape for array in jax.live_arrays()) == before
    jax.block_until_ready(progress)


def known_task(known):
    task = jax.tree.map(lambda values: values[0], known.test["user_cold"].task)
    return task.context, task.support, task.query.x
