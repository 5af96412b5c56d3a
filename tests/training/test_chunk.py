"""The chunk: seeds as an axis, the choice of the best, going on where it was, one compilation."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recmeta.metrics import metric
from recmeta.objectives import mse
from recmeta.runs import provenance
from recmeta.training.chunk import Best, Kept, TrainState, choose, initial_progress, make_chunk, run_chunks, shrunk
from recmeta.types import Learner

STEPS, BATCH = 3, 4


def meta_grad(params, batch, key):
    """Pull a level towards the query's mean label, with some noise of the step's own key."""
    pull = params["w"] - batch.label.mean() + 0.01 * jax.random.normal(key)
    # A branch, as of a learner that anneals: it pulls harder in the second half of training.
    pull = jax.lax.cond(batch.progress < 0.5, lambda pull: pull, lambda pull: 2 * pull, pull)
    return {"w": pull, "tables": params["tables"] * 0.1}, {"loss": pull**2, "progress": batch.progress}


LEARNER = Learner(
    init=lambda key: {"w": jax.random.normal(key), "tables": jnp.ones(2)},
    adapt=lambda params, context, support, depth=None: params["w"],
    predict=lambda fast, query: jnp.broadcast_to(fast, query.mask.shape),
    meta_grad=meta_grad,
    steps=0,
)
OPTIMIZER = optax.adam(0.1)
MAKE, OPTIMIZE = (lambda *_: LEARNER), (lambda _: OPTIMIZER)


def chunk_of(problem, patience=None, optimizer=OPTIMIZER):
    return make_chunk(
        MAKE, mse(), lambda _: optimizer, problem, [metric("rmse")], metric=metric("mae"), steps=STEPS,
        total=4 * STEPS, batch=BATCH, patience=patience,
    )  # fmt: skip


@pytest.fixture(scope="module")
def chunk(problem):
    return chunk_of(problem)


def host(tree):
    """A copy in numpy, keys as their data."""
    is_key = lambda leaf: jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)  # noqa: E731
    return jax.tree.map(lambda leaf: np.array(jax.random.key_data(leaf) if is_key(leaf) else leaf), tree)


def device(tree, like):
    """Where they were: on the devices that have these replicas."""

    def back(leaf, like):
        is_key = jnp.issubdtype(like.dtype, jax.dtypes.prng_key)
        value = jax.random.wrap_key_data(jnp.array(leaf)) if is_key else jnp.array(leaf)
        return jax.device_put(value, like.sharding)

    return jax.tree.map(back, tree, like)


def run(chunk, problem, progress, steps):
    """The progress after each chunk, and what was reported."""
    return [(host(progress), reported) for progress, reported in run_chunks(progress, chunk, {}, problem, steps=steps)]


@pytest.fixture(scope="module")
def straight(chunk, problem):
    return run(chunk, problem, initial_progress(MAKE, OPTIMIZE, {}, [0, 1], "min"), 4 * STEPS)


def same(got, expected):
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    jax.tree.map(np.testing.assert_array_equal, got, expected)


def test_steps_by_hand(problem, straight):
    """The first chunk of seed 1, one outer step at a time."""
    key_init, key = jax.random.split(jax.random.key(1))
    params = LEARNER.init(key_init)
    state, losses = OPTIMIZER.init(params), []
    for step in range(STEPS):
        drawn = problem.draw(jax.random.fold_in(key, 2 * step), problem.train, BATCH)
        batch = problem.gather(problem.train, drawn)._replace(progress=step / (4 * STEPS))
        gradient, reported = meta_grad(params, batch, jax.random.fold_in(key, 2 * step + 1))
        updates, state = OPTIMIZER.update(gradient, state, params)
        params = optax.apply_updates(params, updates)
        losses.append(float(reported["loss"]))
    progress, reported = straight[0]
    np.testing.assert_allclose(progress.state.params["w"][1], params["w"], rtol=1e-5)
    np.testing.assert_allclose(reported.train["loss"][1], np.mean(losses), rtol=1e-5)
    error = np.abs(np.asarray(params["w"]).clip(1, 5) - np.asarray(problem.validation.label))
    np.testing.assert_allclose(reported.validation["mae"][1], error.mean(), rtol=1e-5)
    assert set(reported.validation) == {"mae", "rmse"}
    done = [r.train["progress"].tolist() for _, r in straight]  # the mean of a chunk's: of its steps before each step
    np.testing.assert_allclose(done, [[(1 + 3 * chunk) / 12] * 2 for chunk in range(4)], rtol=1e-6)
    assert [r.step for _, r in straight] == [3, 6, 9, 12]


def test_seeds_as_an_axis_are_separate_runs(problem, straight):
    single = chunk_of(problem)
    for place, seed in enumerate([0, 1]):
        alone = run(single, problem, initial_progress(MAKE, OPTIMIZE, {}, [seed], "min"), 4 * STEPS)
        for (progress, reported), (both, of_both) in zip(alone, straight, strict=True):
            close = lambda a, b, place=place: np.testing.assert_allclose(a[0], b[place], rtol=1e-5)  # noqa: E731
            jax.tree.map(close, progress, both)
            jax.tree.map(close, reported.validation, of_both.validation)
    first = straight[-1][0].state.params["w"]
    assert first[0] != first[1]


def test_one_compilation_for_all_chunks(problem):
    progress, compiled = initial_progress(MAKE, OPTIMIZE, {}, [0, 1], "min"), provenance.count_compilations()
    counts = [compiled().number for _ in run_chunks(progress, chunk_of(problem), {}, problem, steps=4 * STEPS)]
    assert counts[0] > 0
    assert counts == [counts[0]] * 4


def test_a_branch_by_progress_stays_one_under_the_seeds(chunk, problem):
    """Were it mapped over seeds, both branches would be computed, and one of the results chosen."""
    progress = jax.eval_shape(lambda: initial_progress(MAKE, OPTIMIZE, {}, [0, 1], "min"))
    assert "cond[" in str(jax.make_jaxpr(chunk)(progress, {}, problem.train, problem.validation))


def test_going_on_from_a_stored_progress_is_bit_for_bit_the_same(chunk, problem, straight):
    like = initial_progress(MAKE, OPTIMIZE, {}, [0, 1], "min")
    again, compiled = device(straight[0][0], like), provenance.count_compilations()
    resumed = run(chunk, problem, again, 4 * STEPS)
    assert len(resumed) == 3
    for (progress, reported), (expected, wanted) in zip(resumed, straight[1:], strict=True):
        same(progress, expected)
        same(reported.validation, wanted.validation)
    assert compiled().number == 0


def test_a_longer_run_begins_as_the_shorter_one(chunk, problem, straight):
    shorter = run(chunk, problem, initial_progress(MAKE, OPTIMIZE, {}, [0, 1], "min"), 2 * STEPS)
    same(shorter[-1][0], straight[1][0])


def test_best_is_the_best_of_all_chunks(straight):
    values = np.stack([reported.validation["mae"] for _, reported in straight])
    best = straight[-1][0].best
    np.testing.assert_array_equal(best.value, values.min(0))
    for seed, place in enumerate(values.argmin(0)):
        assert best.step[seed] == STEPS * (place + 1)
        assert best.params["w"][seed] == straight[place][0].state.params["w"][seed]
    assert not best.stopped.any()


def test_stops_when_every_seed_has(problem):
    """Nothing is learned, so nothing gets better after the first chunk."""
    still = optax.sgd(0.0)
    begun = initial_progress(MAKE, lambda _: still, {}, [0, 1], "min")
    chunks = run(chunk_of(problem, patience=2, optimizer=still), problem, begun, 30)
    assert [reported.stopped.tolist() for _, reported in chunks] == [[False] * 2, [False] * 2, [True] * 2]
    assert chunks[-1][0].best.step.tolist() == [3, 3]


def state(w, step):
    return TrainState({"w": jnp.float32(w)}, (), None, jnp.int32(step))


def best(w, value, step, stopped=False):
    return Best({"w": np.float32(w)}, np.float32(value), np.int32(step), np.array(stopped), np.float32(1))


@pytest.mark.parametrize(
    ("now", "value", "sign", "patience", "expected"),
    [
        (best(1, 0.5, 2), 0.4, 1, None, (9, 0.4, 8, False)),  # better
        (best(1, 0.5, 2), 0.6, 1, None, (1, 0.5, 2, False)),  # worse
        (best(1, 0.5, 2), 0.5, 1, None, (1, 0.5, 2, False)),  # the earlier of two alike
        (best(1, 0.5, 2), 0.6, -1, None, (9, 0.6, 8, False)),  # higher is better
        (best(1, 0.5, 2), np.nan, 1, None, (1, 0.5, 2, False)),
        (best(1, np.inf, 0), np.nan, 1, 8, (1, np.inf, 0, True)),
        (best(1, 0.5, 2), 0.6, 1, 6, (1, 0.5, 2, True)),  # six steps without any
        (best(1, 0.5, 2), 0.6, 1, 7, (1, 0.5, 2, False)),
        (best(1, 0.5, 2), 0.4, 1, 6, (9, 0.4, 8, False)),
        (best(1, 0.5, 2, True), 0.1, 1, 6, (1, 0.5, 2, True)),  # has stopped: stays as it is
    ],
)
def test_choose(now, value, sign, patience, expected):
    kept = Kept({"w": jnp.float32(9)}, jnp.float32(0.5), {"mae": jnp.float32(value)})
    got = choose(now, state(9, 8), kept, "mae", sign, patience)
    assert got.share == (0.5 if got.step == 8 else 1)
    assert (float(got.params["w"]), float(got.value), int(got.step), bool(got.stopped)) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("goal", "value", "share"),
    [
        ("min", lambda w: (w - 3) ** 2, 0.75),
        ("max", lambda w: (w - 3) ** 2, 0.0),
        ("min", lambda w: w, 0.0),
        ("min", lambda w: 0 * w, 1.0),  # of equally good ones all is kept
        ("min", lambda w: jnp.where(w > 2, jnp.nan, -w), 0.5),
    ],
)
def test_of_a_correction_as_much_is_kept_as_is_best(goal, value, share):
    learner = Learner(None, None, None, None, 0, shrink=lambda params, share: {"w": share * params["w"]})
    got = shrunk(
        learner, {"w": jnp.float32(4)}, lambda params: {"mae": value(params["w"])}, metric("mae")._replace(goal=goal)
    )
    assert (float(got.share), float(got.params["w"])) == (share, 4 * share)
    assert got.scores["mae"] == value(jnp.float32(4 * share))
    plain = shrunk(
        learner._replace(shrink=None), {"w": jnp.float32(4)}, lambda params: {"mae": params["w"]}, metric("mae")
    )
    assert (float(plain.share), float(plain.params["w"])) == (1, 4)


def test_an_augmentation_is_of_training_alone(problem):
    """It sees batches as they are drawn, a key of each step's own, and neither meta-validation nor a test task."""
    seen = []

    def augment(key, batch):
        seen.append(batch.label.shape)
        jax.debug.callback(lambda key: keys.append(key.tolist()), jax.random.key_data(key))
        return batch._replace(label=jnp.where(batch.label > 0, 100.0, 0.0))

    keys = []
    changed = make_chunk(
        MAKE, mse(), OPTIMIZE, problem, [metric("rmse")], metric=metric("mae"), steps=STEPS, total=4 * STEPS,
        batch=BATCH, patience=None, augmentation=augment,
    )  # fmt: skip
    start = initial_progress(MAKE, OPTIMIZE, {}, [0, 1], "min")
    ((_, reported),) = run(changed, problem, start, STEPS)
    jax.effects_barrier()
    assert set(seen) == {(BATCH, problem.spec.query)}
    assert len({tuple(key) for key in keys}) == 2 * STEPS  # of each seed and step
    assert (reported.train["loss"] > 1000).all(), "training labels are 100"
    assert (reported.validation["mae"] < 5).all(), "those of meta-validation are as they were"


def test_an_augmentation_that_changes_nothing_changes_no_number(problem, straight):
    same_batch = make_chunk(
        MAKE, mse(), OPTIMIZE, problem, [metric("rmse")], metric=metric("mae"), steps=STEPS, total=4 * STEPS,
        batch=BATCH, patience=None, augmentation=lambda key, batch: batch,
    )  # fmt: skip
    ((progress, _),) = run(same_batch, problem, initial_progress(MAKE, OPTIMIZE, {}, [0, 1], "min"), STEPS)
    same(progress, straight[0][0])
