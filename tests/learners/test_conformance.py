"""What must hold of every learner, with an encoder that reads the support and with one that does not."""

import inspect
from functools import partial
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta import learners
from recmeta.encoders.features import features
from recmeta.encoders.gru import gru
from recmeta.evaluation.predict import learner_predictions
from recmeta.fitted.folds import cross_fit
from recmeta.learners.balanced import balanced
from recmeta.learners.bayes import bayes
from recmeta.learners.cavia import cavia
from recmeta.learners.cnp import cnp
from recmeta.learners.dropoutnet import dropoutnet
from recmeta.learners.finetune import finetune
from recmeta.learners.fold_in import fold_in
from recmeta.learners.hyper import hyper
from recmeta.learners.imaml import imaml
from recmeta.learners.in_context import in_context
from recmeta.learners.joint import joint
from recmeta.learners.knn import knn
from recmeta.learners.logistic import logistic
from recmeta.learners.maml import maml
from recmeta.learners.maml_pp import maml_pp
from recmeta.learners.mamo import mamo
from recmeta.learners.matching import matching
from recmeta.learners.meta_curvature import meta_curvature
from recmeta.learners.meta_embedding import meta_embedding
from recmeta.learners.meta_sgd import meta_sgd
from recmeta.learners.mwuf import mwuf
from recmeta.learners.protonet import protonet
from recmeta.learners.relation import relation
from recmeta.learners.reptile import reptile
from recmeta.learners.ridge import ridge
from recmeta.learners.rlfm import rlfm
from recmeta.learners.set_transformer import set_transformer
from recmeta.learners.stacked import stacked
from recmeta.learners.tanp import tanp
from recmeta.learners.zero_shot import zero_shot
from recmeta.models.model import make_model
from recmeta.objectives import mae, mse
from recmeta.scorers.dot import dot
from recmeta.types import Batch, Objective
from tests.learners.conftest import to_double

ENCODERS = {"features": partial(features, width=2), "gru": partial(gru, width=2, state=2)}
TANP = {
    "width": 3, "hidden": (6,), "clusters": 2, "temperature": 1.0, "modulation": "gated", "samples": 0,
    "kl_weight": 1.0, "cluster_weight": 1.0,
}  # fmt: skip
LEARNERS = {
    "balanced": partial(balanced, inner_steps=2, inner_rate=0.1, first_order=False, adapts="all"),
    "cnp": partial(cnp, width=3, hidden=(4,)),
    "dropoutnet": partial(dropoutnet, dropout=0.0),
    "finetune": partial(finetune, inner_steps=2, inner_rate=0.1, adapts="head"),
    "joint": joint,
    "maml": partial(maml, inner_steps=2, inner_rate=0.1, first_order=False, adapts="head"),
    "maml_all": partial(maml, inner_steps=2, inner_rate=0.1, first_order=False, adapts="all"),
    "boil": partial(maml, inner_steps=2, inner_rate=0.1, first_order=False, adapts="body"),
    "cavia": partial(cavia, width=2, inner_steps=2, inner_rate=0.1, first_order=False),
    "imaml": partial(imaml, inner_steps=2, inner_rate=0.1, pull=1.0, cg_steps=5, adapts="head"),
    "maml_pp": partial(
        maml_pp, inner_steps=2, inner_rate=0.1, multi_step_until=0.1, first_order_until=0.3, adapts="head"
    ),
    "meta_sgd": partial(meta_sgd, inner_steps=2, inner_rate=0.1, first_order=False, adapts="head"),
    "meta_curvature": partial(meta_curvature, inner_steps=2, inner_rate=0.1, first_order=False, adapts="all"),
    "meta_embedding": partial(
        meta_embedding, width=3, hidden=(4,), cold_weight=0.1, inner_steps=2, inner_rate=0.1, first_order=False
    ),
    "mwuf": partial(mwuf, width=3, hidden=(4,), inner_steps=2, inner_rate=0.1, first_order=False),
    "in_context": partial(in_context, base="factor_model", rank=2, width=4, heads=2, blocks=1, dropout=0.0, rmse=2.0),
    "stacked": partial(stacked, base="factor_model", rank=2, penalty=0.01),
    "reptile": partial(reptile, inner_steps=2, inner_rate=0.1, adapts="all"),
    "protonet": partial(protonet, classes="rating", width=3),
    "ridge": partial(ridge, level_scale=0.5, weight_scale=0.5),
    "bayes": partial(bayes, level_scale=0.5, weight_scale=0.5),
    "fold_in": partial(fold_in, rank=2, trains="episodes", level_penalty=2.0, penalty=2.0, item_penalty=0.1),
    "rlfm": partial(rlfm, rank=2, scale=0.3),
    "knn": partial(knn, k=2),
    "logistic": partial(logistic, inner_steps=2, level_scale=1.0, weight_scale=0.5),
    "matching": partial(matching, values="residual", width=3, temperature=0.5),
    "relation": partial(relation, classes="rating", width=4, hidden=8),
    "zero_shot": zero_shot,
    "hyper": partial(hyper, width=3, hidden=(4,), rank=1, adapts="head"),
    "hyper_film": partial(hyper, width=3, hidden=(4,), rank=1, adapts="film"),
    "set_transformer": partial(set_transformer, heads=2, head_width=2, inducing=2, blocks=1, hidden=(4,)),
    "tanp": partial(tanp, **TANP),
    "mamo": partial(mamo, slots=2, inner_steps=2, inner_rate=0.1, first_order=False),
}
BESIDE_STEPS = ("mwuf",)
"""Those that read the support in their forward pass too."""

SHOTS = np.array([0, 3, 5])
close = partial(np.testing.assert_allclose, rtol=2e-4, atol=2e-5)


def between(share):
    """An objective between squared and absolute error, so that one program has the gradients of both."""
    squared, absolute = mse().loss, mae().loss
    return Objective(lambda *rows, **more: (1 - share) * squared(*rows, **more) + share * absolute(*rows, **more))


class Built:
    """A learner, its parameters a little off where they start, and its two programs, each compiled once."""

    def __init__(self, problem, learner, encoder):
        self.spec, self.name, self.encoder = problem.spec, learner, encoder
        self.problem, self.fitted = problem, None
        self.learner = self.make()
        leaves, structure = jax.tree.flatten(self.learner.init(jax.random.key(0)))
        rng = np.random.default_rng(0)
        self.params = structure.unflatten(
            [leaf + 0.2 * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
        )
        self.depths = jnp.arange(self.learner.steps + 1)
        self.reads_support = encoder == "gru" and learner != "zero_shot"  # which hides it
        # The rate is an argument: at another one it is the same program.
        self.rate = getattr(LEARNERS[learner], "keywords", {}).get("inner_rate")
        self._compiled = jax.jit(self._predict)
        self._gradient = jax.jit(lambda share, *rest: self.make(between(share)).meta_grad(*rest))

    def make(self, objective=mse(), **changed):  # noqa: B008
        model = make_model(ENCODERS[self.encoder], partial(dot, width=2), self.spec, mse())
        if "cross_fit" in inspect.signature(LEARNERS[self.name]).parameters:
            changed["cross_fit"] = self.fit
        return LEARNERS[self.name](spec=self.spec, model=model, objective=objective, **changed)

    def fit(self, prepare):
        """Fits are made once; in a program they are constants."""
        self.fitted = self.fitted or cross_fit(self.problem, prepare)
        return self.fitted

    def _predict(self, params, batch, rate):
        learner = self.learner if rate is None else self.make(inner_rate=rate)
        return learner_predictions(learner, mse(), self.spec, params, batch, SHOTS, self.depths).score

    def predict(self, batch, **changed):
        """Scores ``[shots, depths, T, n]``, with other parameters or at another rate."""
        settings = {"params": self.params, "rate": self.rate} | changed
        return np.asarray(self._compiled(settings["params"], batch, settings["rate"]))

    def gradient(self, batch, absolute=0.0):
        """The gradient under squared error; with ``absolute`` 1, under absolute error."""
        gradient, reported = self._gradient(absolute, self.params, batch, jax.random.key(0))
        return np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(gradient)]), float(reported["loss"])


# Each compiles programs of its own: with the encoder that reads the support, one learner of each kind.
READS_SUPPORT = ("joint", "maml", "reptile", "protonet", "ridge", "cnp", "zero_shot")
PAIRS = [
    (learner, encoder) for encoder in ENCODERS for learner in LEARNERS if encoder != "gru" or learner in READS_SUPPORT
]

IN_DOUBLE = [(learner, "features") for learner in ("maml", "imaml", "ridge", "bayes", "rlfm", "tanp")]
"""In the quick suite: those that differentiate steps, that solve equations, and a network."""


def test_every_learner_is_listed():
    made = {getattr(maker, "func", maker).__name__ for maker in LEARNERS.values()}
    assert made == {path.stem for path in Path(learners.__file__).parent.glob("[a-z]*.py")}


@pytest.fixture(scope="module", params=PAIRS, ids="-".join)
def built(request, problem):
    """In the module's scope, so that pytest runs all tests of one pair in a row, in one process."""
    return Built(problem, *request.param)


@pytest.fixture(scope="session")
def batch(problem):
    """Six tasks, of 5, 3, 1, 5, 3, 1 support rows; of each query of four the last is missing in every second task."""
    batch = problem.gather(problem.train, problem.draw(jax.random.key(7), problem.train, 6))
    shots = jnp.array([5, 3, 1, 5, 3, 1])
    batch = with_support(batch, mask=jnp.arange(5) < shots[:, None])
    mask = batch.task.query.mask.at[::2, -1].set(False)
    return batch._replace(task=batch.task._replace(query=batch.task.query._replace(mask=mask)))


def with_support(batch, **changed):
    return batch._replace(task=batch.task._replace(support=batch.task.support._replace(**changed)))


def test_depth_zero_is_zero_shots(built, batch):
    score = built.predict(batch)
    close(score[0], score[:1, 0].repeat(len(built.depths), 0))  # without support, no depth changes anything
    if built.reads_support:
        assert np.abs(score[1:, 0] - score[0, 0]).max() > 1e-3  # the encoder has read it, whatever the learner does
    else:
        close(score[:, 0], score[0, 0][None].repeat(len(SHOTS), 0))
    if built.learner.steps:
        assert (np.abs(score[1:, -1] - score[1:, 0]).max((0, 2)) > 1e-3).all()  # every task is adapted to
    else:
        assert score.shape[1] == 1


def test_at_a_rate_of_zero_nothing_adapts(built, batch):
    """Where there is a rate, and nothing but the steps reads the support; a learned one is zero too."""
    params = built.params
    params |= {"rates": jax.tree.map(jnp.zeros_like, params["rates"])} if "rates" in params else {}
    score = built.predict(batch, params=params, rate=None if built.rate is None else 0.0)
    assert built._compiled._cache_size() == 1  # the program of all the other tests
    if built.rate is None or built.name in BESIDE_STEPS:
        assert score.shape[1] == 1 or np.abs(score[1:, -1] - score[1:, 0]).max() > 1e-3
    else:
        close(score, score[:, :1].repeat(len(built.depths), 1))


@pytest.mark.parametrize(
    "built",
    [pytest.param(pair, marks=() if pair in IN_DOUBLE else pytest.mark.slow) for pair in PAIRS],
    indirect=True,
    ids="-".join,
)
def test_single_precision_is_near_double(built, batch):
    """Predictions, and the gradient in its direction and length; both programs are traced anew."""
    task = jax.tree.map(lambda values: values[1], batch.task)  # three support rows
    with jax.enable_x64():
        learner = built.make()

        @jax.jit
        def both(params, task, batch):
            return (
                learner.predict(learner.adapt(params, task.context, task.support), task.query),
                jax.tree.leaves(learner.meta_grad(params, batch, jax.random.key(0))[0]),
            )

        score, slopes = both(to_double(built.params), to_double(task), to_double(batch))
    score, slope = np.asarray(score), np.concatenate([np.ravel(leaf) for leaf in slopes])
    assert score.dtype == slope.dtype == np.float64
    single, gradient = built.predict(batch)[-1, -1, 1], built.gradient(batch)[0]
    np.testing.assert_allclose(single, score, rtol=2e-4, atol=2e-4)
    assert np.linalg.norm(gradient - slope) < 2e-4 * np.linalg.norm(slope)
    assert np.abs(single - score).max() > 0 < np.abs(gradient - slope).max()  # it was another program


def test_the_order_of_support_rows_matters_to_an_encoder_that_reads_it_alone(built, batch):
    order = np.array([3, 0, 4, 1, 2])
    support = jax.tree.map(lambda values: values[:, order], batch.task.support)
    moved = with_support(batch, x=support.x, y=support.y, mask=support.mask)
    full = SHOTS.tolist().index(5)
    score, expected = built.predict(moved)[full], built.predict(batch)[full]
    if built.reads_support:
        assert np.abs(score - expected).max() > 1e-4
    else:
        close(score, expected)
        for got, wanted in zip(built.gradient(moved), built.gradient(batch), strict=True):
            close(got, wanted)


def garbage(values, there):
    """What is not there, replaced: other codes, large numbers."""
    there = there.reshape(there.shape + (1,) * (values.ndim - there.ndim))
    return jnp.where(
        there, values, jnp.asarray(1 - jnp.minimum(values, 1) if values.dtype == jnp.int32 else 1e3, values.dtype)
    )


def test_padding_does_not_matter(built, batch):
    (_, support, query), label = batch.task, batch.label
    spoilt = batch._replace(
        task=batch.task._replace(
            support=support._replace(
                x={name: garbage(v, support.mask) for name, v in support.x.items()}, y=garbage(support.y, support.mask)
            ),
            query=query._replace(x={name: garbage(v, query.mask) for name, v in query.x.items()}),
        ),
        label=garbage(label, query.mask),
    )
    assert not np.array_equal(spoilt.task.support.y, support.y)
    score, expected = built.predict(spoilt), built.predict(batch)
    there = np.asarray(query.mask)
    close(score[:, :, there], expected[:, :, there])
    for got, wanted in zip(built.gradient(spoilt), built.gradient(batch), strict=True):
        close(got, wanted)


def test_the_order_of_tasks_does_not_matter(built, batch):
    order = np.array([4, 2, 0, 5, 1, 3])
    moved = Batch(*jax.tree.map(lambda values: values[order], (batch.task, batch.label)))
    close(built.predict(moved), built.predict(batch)[:, :, order])
    for got, expected in zip(built.gradient(moved), built.gradient(batch), strict=True):
        close(got, expected)


def test_query_labels_are_seen_by_the_gradient_alone(built, batch):
    blind = batch._replace(label=batch.label[:, ::-1])
    np.testing.assert_array_equal(built.predict(blind), built.predict(batch))
    changed, before = built.gradient(blind)[0], built.gradient(batch)[0]
    assert np.abs(changed - before).max() > 1e-3 * np.abs(before).max()


def test_it_ignores_the_objective_if_it_says_so_and_not_else(built, batch):
    squared, absolute = built.gradient(batch)[0], built.gradient(batch, absolute=1.0)[0]
    assert np.array_equal(squared, absolute) == ("objective" in built.learner.ignores)


def test_the_same_twice(built, batch):
    np.testing.assert_array_equal(built.predict(batch), built.predict(batch))
    (first, _), (second, _) = built.gradient(batch), built.gradient(batch)
    np.testing.assert_array_equal(first, second)
    assert np.isfinite(first).all()
    assert np.abs(first).max() > 0


# One learner of each kind: Python's own loops are slow.
@pytest.mark.parametrize(
    "built", [("maml", "features"), ("protonet", "features"), ("ridge", "gru")], indirect=True, ids="-".join
)
def test_compiled_or_not_and_padded_or_cut(built, batch):
    """One task, by Python's own loops, without its padding, is what the compiled program makes of it among others."""
    task = jax.tree.map(lambda values: values[1], batch.task)  # three support rows
    support = jax.tree.map(lambda values: values[:3], task.support)
    with jax.disable_jit():
        fast = built.learner.adapt(built.params, task.context, support)
        alone = built.learner.predict(fast, task.query)
    close(built.predict(batch)[-1, -1, 1], alone)
