"""In-context correction: without a correction it is its base; and what its attention reads."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.encoders.features import features
from recmeta.fitted.factor_model import fit_of, moments, posterior, predict
from recmeta.fitted.folds import cross_fit
from recmeta.learners.in_context import in_context
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.objectives.levels import of_normal
from recmeta.scorers.dot import dot
from recmeta.types import UserError

SETTINGS = {
    "base": "factor_model", "rank": 2, "width": 4, "heads": 2, "blocks": 2, "dropout": 0.0, "rmse": 0.6,
}  # fmt: skip


def made(problem, **changed):
    model = make_model(partial(features, width=2), partial(dot, width=2), problem.spec, mse())
    fits = []

    def fit(prepare):
        fits.append(cross_fit(problem, prepare))
        return fits[-1]

    learner = in_context(spec=problem.spec, model=model, objective=mse(), cross_fit=fit, **SETTINGS | changed)
    return learner, fits[0]


@pytest.fixture(scope="module")
def learner(problem):
    return made(problem)


@pytest.fixture(scope="module")
def moved(learner):
    """Parameters away from their start, where nothing is corrected."""
    leaves, structure = jax.tree.flatten(learner[0].init(jax.random.key(0)))
    rng = np.random.default_rng(0)
    return structure.unflatten([leaf + 0.3 * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves])


@pytest.fixture(scope="module")
def task(problem):
    return jax.tree.map(lambda values: values[1], problem.test["user_cold"].task)


def base(fitted, task, which=0):
    fit = fit_of(fitted.fits.base, which)
    user = posterior(fit, task.context, task.support, moments(fit, task.support.x))
    return predict(fit, user, moments(fit, task.query.x))


def outputs(learner, params, task, depth=None):
    fast = learner.adapt(params, task.context, task.support, depth)
    return learner.predict(fast, task.query), learner.distribution(fast, task.query)


def test_at_first_it_is_its_base(problem, learner, task):
    """The distribution of the factor model, rounded to levels, to 1e-6; and its mean."""
    learner, fitted = learner
    score, shares = jax.jit(partial(outputs, learner))(learner.init(jax.random.key(0)), task)
    found = base(fitted, task)
    expected = of_normal(found.mean, found.variance, problem.spec.levels)
    np.testing.assert_allclose(shares, expected, atol=1e-6)
    np.testing.assert_allclose(score, np.exp(expected) @ np.array(problem.spec.levels), atol=1e-5)


def test_without_support_it_is_its_base_whatever_was_learned(problem, learner, moved, task):
    learner, fitted = learner
    program = jax.jit(partial(outputs, learner))
    nothing = task._replace(support=task.support._replace(mask=jnp.zeros_like(task.support.mask)))
    found = base(fitted, nothing)
    expected = of_normal(found.mean, found.variance, problem.spec.levels)
    for got in (program(moved, nothing)[1], program(moved, task, 0)[1]):
        np.testing.assert_allclose(got, expected, atol=1e-6)
    assert np.abs(program(moved, task)[1] - expected).max() > 0.05


def test_a_query_row_reads_the_support_and_no_other_query_row(learner, moved, task):
    program = jax.jit(partial(outputs, learner[0]))
    score, _ = program(moved, task)
    other = task._replace(query=task.query._replace(x=jax.tree.map(lambda v: v.at[1].set(v[2]), dict(task.query.x))))
    again, _ = program(moved, other)
    np.testing.assert_allclose(again[np.array([0, 2, 3])], score[np.array([0, 2, 3])], atol=1e-6)
    assert abs(again[1] - score[1]) > 1e-4
    relabelled = task._replace(support=task.support._replace(y=task.support.y[::-1]))
    assert np.abs(program(moved, relabelled)[0] - score).max() > 1e-3


def test_a_meta_train_task_reads_the_fit_without_its_fold(problem, learner):
    """At first it is the base of that fit, and not of the whole."""
    learner, fitted = learner
    batch = problem.gather(problem.train, problem.draw(jax.random.key(3), problem.train, 1))
    task = jax.tree.map(lambda values: values[0], batch.task)
    which = int(fitted.fold[task.context["@entity"]])
    _, shares = jax.jit(partial(outputs, learner))(learner.init(jax.random.key(0)), task)
    own, whole = (base(fitted, task, fold) for fold in (which, 0))
    np.testing.assert_allclose(shares, of_normal(own.mean, own.variance, problem.spec.levels), atol=1e-6)
    assert np.abs(own.mean - whole.mean).max() > 1e-3


def test_dropout_is_drawn_anew_at_each_step_and_off_at_test(problem, moved):
    learner, _ = made(problem, dropout=0.5)
    batch = problem.gather(problem.train, problem.draw(jax.random.key(3), problem.train, 2))
    gradient = jax.jit(learner.meta_grad)
    one, same, other = (gradient(moved, batch, jax.random.key(key))[1]["loss"] for key in (0, 0, 1))
    assert one == same != other


@pytest.mark.parametrize("many", [False, True])
def test_the_gradient_is_that_of_its_loss(problem, many):
    """Finite differences in double precision, of the loss as the module's docstring has it, in numpy."""
    problem = problem._replace(spec=problem.spec.__class__(**vars(problem.spec) | {"discrete": not many}))
    learner, _ = made(problem, rmse=0.7, entropy=1.3)
    from tests.learners.conftest import off_start, to_double

    batch = problem.gather(problem.train, problem.draw(jax.random.key(7), problem.train, 3))
    levels = np.array(problem.spec.levels)
    with jax.enable_x64():
        params = to_double(off_start(learner, np.random.default_rng(1)))
        batch = to_double(batch)
        flat, restore = jax.flatten_util.ravel_pytree(params)

        @jax.jit
        def value(flat):
            return learner.meta_grad(restore(flat), batch, jax.random.key(0))[1]["loss"]

        @jax.jit
        def predicted(flat):
            def one(task):
                fast = learner.adapt(restore(flat), task.context, task.support)
                return learner.predict(fast, task.query), learner.distribution and learner.distribution(
                    fast, task.query
                )

            return jax.vmap(one)(batch.task)

        slopes = jax.jit(learner.meta_grad)(params, batch, jax.random.key(0))[0]
        gradient = np.asarray(jax.flatten_util.ravel_pytree(slopes)[0])
        for seed in range(3):
            way = np.random.default_rng(seed).normal(size=len(flat)) / len(flat) ** 0.5
            numeric = (value(flat + 1e-5 * way) - value(flat - 1e-5 * way)) / 2e-5
            np.testing.assert_allclose(numeric, gradient @ way, rtol=1e-4, atol=1e-8)
        if not many:
            score, shares = (np.asarray(each) for each in predicted(flat))
            own = np.abs(np.asarray(batch.label)[..., None] - levels).argmin(-1)
            surprise = -np.take_along_axis(shares, own[..., None], -1)[..., 0]
            each = zip(surprise, score - batch.label, np.asarray(batch.task.query.mask), strict=True)
            expected = np.mean([
                1.3 * own[mask].mean() + 0.7 / 2 * np.sqrt((error[mask] ** 2).mean())  # half a range of 1 to 5 is 2
                for own, error, mask in each
            ])  # fmt: skip
            np.testing.assert_allclose(value(flat), expected, rtol=1e-6)


def test_biases_alone_as_its_base(problem, task):
    """Without vectors the base is user and item levels: how two users differ is the same for every item."""
    learner, fitted = made(problem, base="user_item_bias")
    assert fitted.fits.base.loading.shape[-1] == 1
    score, _ = jax.jit(partial(outputs, learner))(learner.init(jax.random.key(0)), task)
    assert np.isfinite(score).all()
    found = base(fitted, task)
    more = task._replace(support=task.support._replace(y=task.support.y + 1))
    np.testing.assert_allclose(np.ptp(base(fitted, more).mean - found.mean), 0, atol=1e-5)


def test_no_base_is_the_mean_of_all_labels(problem, task):
    learner, fitted = made(problem, base="none")
    score, _ = jax.jit(partial(outputs, learner))(learner.init(jax.random.key(0)), task)
    label, levels = np.asarray(problem.train.label), np.array(problem.spec.levels)
    np.testing.assert_allclose(fitted.fits.base.mean[0], label.mean(), rtol=1e-6)
    shares = np.exp(of_normal(jnp.array([label.mean()]), jnp.array([label.var()]), problem.spec.levels))[0]
    np.testing.assert_allclose(score, shares @ levels, rtol=1e-5)


def test_without_cross_fitting_a_meta_train_task_reads_its_own_labels(problem, learner, moved):
    """The ablation: the first fit, of all, for meta-train tasks as for others."""
    plain, (other, _) = learner[0], made(problem, cross_fitted=False)
    trained = jax.tree.map(lambda values: values[0], problem.gather(problem.train, problem.draw(
        jax.random.key(7), problem.train, 3)).task)  # fmt: skip
    tested = jax.tree.map(lambda values: values[1], problem.test["user_cold"].task)
    program = [jax.jit(partial(outputs, each)) for each in (plain, other)]
    trains, tests = ([each(moved, task)[0] for each in program] for task in (trained, tested))
    assert np.abs(trains[0] - trains[1]).max() > 1e-4
    np.testing.assert_array_equal(*tests)


def test_it_can_be_shrunk_to_its_base(learner, moved, task):
    learner, _ = learner
    program = jax.jit(lambda params, share: outputs(learner, learner.shrink(params, share), task)[1])
    plain = jax.jit(partial(outputs, learner))(learner.init(jax.random.key(0)), task)[1]
    np.testing.assert_allclose(program(moved, 0.0), plain, atol=1e-6)
    logits = program(moved, 1.0) - plain
    half = program(moved, 0.5) - plain
    np.testing.assert_allclose(np.diff(half, axis=1), np.diff(logits, axis=1) / 2, atol=1e-5)


def test_a_width_that_heads_do_not_divide_is_refused(problem):
    with pytest.raises(UserError, match=r"learner.width=5 must be a multiple of learner.heads=2"):
        made(problem, width=5)
    with pytest.raises(UserError, match="one must be above 0"):
        made(problem, rmse=0.0, entropy=0.0)
