from dataclasses import replace
from typing import Annotated

import jax
import numpy as np
import optax
import pytest
from annotated_types import Gt

from recmeta.config import compatibility, components, schema
from recmeta.config.parts import Parts
from recmeta.experiment import prepare
from recmeta.metrics import aggregate, metric
from recmeta.objectives import pointwise as objectives
from recmeta.types import Learner, Negatives, Objective, UserError


def part(spec, *, size: Annotated[int, Gt(0)], rate: float = 0.1, shape: tuple[int, ...] = (), mode: bool = False):
    return spec, size, rate, shape, mode


def anything(**settings):
    return settings


def block(name: str = "part", **settings):
    return {"_target_": f"{__name__}.{name}", "_partial_": True, "_convert_": "all", **settings}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    # Under importlib mode a test module has no name to import it by.
    import sys

    monkeypatch.setitem(sys.modules, __name__, sys.modules.get(__name__) or _module())


def _module():
    import types

    module = types.ModuleType(__name__)
    module.__dict__.update(part=part, anything=anything)
    return module


def test_settings_are_converted_to_their_types():
    made = components.component("group", block(size=3, rate=1, shape=[4, 5]), ("spec",))
    assert made is not None
    assert made("given") == ("given", 3, 1.0, (4, 5), False)


def test_a_block_that_many_points_have_is_made_once_and_equal_values_of_other_types_are_another_block():
    made = components.component("group", block(size=1), ("spec",))
    assert components.component("group", block(size=1), ("spec",)) is made
    assert components.component("group", block(size=1, rate=0.5), ("spec",)) is not made
    for other in (True, 1.0):
        assert {"size": other} == {"size": 1}
        with pytest.raises(UserError, match=r"group\.size"):
            components.component("group", block(size=other), ("spec",))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({}, "group.size is missing: part needs it"),
        ({"size": 0}, "group.size=0: input should be greater than 0"),
        ({"size": 1.5}, "group.size=1.5: input should be a valid integer"),
        ({"size": "1"}, "group.size=1: input should be a valid integer"),
        ({"size": None}, "group.size=null: input should be a valid integer"),
        ({"size": True}, "group.size=True: input should be a valid integer"),
        ({"size": 1, "mode": 1}, "group.mode=1: input should be a valid boolean"),
        ({"size": 1, "shape": 2}, "group.shape=2: input should be a valid list"),
        ({"size": 1, "shape": ["a"]}, "group.shape=['a']: input should be a valid integer"),
        ({"size": 1, "colour": 2}, "group.colour: part has no such setting; it has size, rate, shape, mode"),
        ({"size": 1, "spec": 2}, "group.spec: part has no such setting"),
        ({"size": 1, "_partial_": False}, "group._partial_ must be true: recmeta passes spec itself"),
        ({"size": 1, "_partial_": "abc"}, "group._partial_ must be true: recmeta passes spec itself"),
        ({"size": 1, "_convert_": "abc"}, "group._convert_ must be all"),
        ({"_args_": [1]}, "group._args_: name each setting instead"),
        ({"size": 1, "_target_": None}, "group._target_ is missing"),
        ({"size": 1, "rate": float("nan")}, "group.rate=nan: must be a finite number"),
        ({"size": 1, "shape": [1, float("inf")]}, "group.shape=inf: must be a finite number"),
        ({"size": 1, "mode": {"deep": -float("inf")}}, "group.mode.deep=-inf: must be a finite number"),
    ],
)
def test_settings_that_are_wrong(settings, said):
    with pytest.raises(UserError) as refused:
        components.component("group", block(**settings), ("spec",))
    assert str(refused.value).startswith(said)


def test_no_target_is_no_component():
    assert components.component("learner", {"_target_": None}, ()) is None


def test_a_component_that_takes_anything():
    made = components.component("group", block("anything", any=1), ())
    assert made is not None
    assert made() == {"any": 1}


def test_target_that_does_not_exist():
    with pytest.raises(UserError, match=r"^group\._target_=recmeta\.nothing\.here: "):
        components.component("group", {"_target_": "recmeta.nothing.here", "_partial_": True, "_convert_": "all"}, ())


@pytest.mark.parametrize("value", [3, "abc", [1], True])
def test_a_component_is_a_block(value):
    with pytest.raises(UserError, match=r"^reporter\.x=.*: must be a block with a _target_$"):
        components.component("reporter.x", value, ())


def optimizer(name="adam", **settings):
    return {"_target_": f"optax.{name}", "_partial_": True, "_convert_": "all", **settings}


SCHEDULE = {
    "_target_": "optax.cosine_decay_schedule", "init_value": 0.1, "decay_steps": 10,
}  # fmt: skip


@pytest.mark.parametrize(
    "settings",
    [
        {"learning_rate": 0.1},
        {"learning_rate": 1, "b1": 0, "eps": 0.0},
        {"learning_rate": SCHEDULE},
        {"name": "adamw", "learning_rate": 0.1, "weight_decay": 0.0},
        {"name": "sgd", "learning_rate": 0.1, "momentum": None, "nesterov": True},
        {"name": "lion", "learning_rate": 0.1},
        {"name": "nadam", "learning_rate": 0.1},
        {"name": "adafactor", "min_dim_size_to_factor": 8, "decay_rate": 0.8},
        {"name": "noisy_sgd", "learning_rate": 0.1, "key": 3},
        {"name": "rprop", "learning_rate": 0.1, "eta_plus": 1.5},
    ],
)
def test_any_optimizer_of_optax(settings):
    made = components.component("optimizer", optimizer(**settings), ())
    assert made is not None
    assert isinstance(outer(made)({"optimizer": {}}), optax.GradientTransformation)


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"learning_rate": -1}, "optimizer.learning_rate=-1: input should be greater than 0"),
        ({"learning_rate": 0.0}, "optimizer.learning_rate=0.0: input should be greater than 0"),
        ({"learning_rate": "abc"}, "optimizer.learning_rate=abc: input should be a valid number"),
        ({"learning_rate": float("nan")}, "optimizer.learning_rate=nan: must be a finite number"),
        (
            {"learning_rate": SCHEDULE | {"init_value": float("inf")}},
            "optimizer.learning_rate.init_value=inf: must be a finite number",
        ),
        ({"learning_rate": 0.1, "b1": 2.0}, "optimizer.b1=2.0: input should be less than 1"),
        ({"learning_rate": 0.1, "b1": "abc"}, "optimizer.b1=abc: input should be a valid number"),
        ({"learning_rate": 0.1, "eps": -1}, "optimizer.eps=-1: input should be greater than or equal to 0"),
        ({"learning_rate": 0.1, "eps": None}, "optimizer.eps=null: input should be a valid number"),
        (
            {"name": "adamw", "learning_rate": 0.1, "weight_decay": -1},
            "optimizer.weight_decay=-1: input should be greater than or equal to 0",
        ),
        ({"name": "sgd", "learning_rate": 0.1, "momentum": 1}, "optimizer.momentum=1: input should be less than 1"),
        ({"name": "rprop", "learning_rate": 0.1, "eta_plus": "a"}, "optimizer.eta_plus=a: input should be a valid"),
    ],
)
def test_optimizer_settings_out_of_range(settings, said):
    with pytest.raises(UserError) as refused:
        components.component("optimizer", optimizer(**settings), ())
    assert str(refused.value).startswith(said)


@pytest.mark.parametrize("settings", [{"name": "lbfgs"}, {"name": "squared_error", "predictions": 1.0}])
def test_what_is_no_optimizer_by_gradients(settings):
    made = components.component("optimizer", optimizer(**settings), ())
    with pytest.raises(UserError, match=r"^optimizer: it can't be made, or needs more than gradients: "):
        outer(made)


def outer(optimizer):
    """An optimizer factory with nothing around the optimizer."""
    plain = {"clip": None, "steps": 1, "freeze": []}
    made = parts(optimizer=optimizer, numbers={"optimizer": {}})
    return prepare.make_optimizer(made, schema.Root(**plain), {"weight": jax.numpy.ones(2)})


def parts(metrics=("mae",), **made):
    metrics = tuple(map(metric, metrics))
    known = {"metrics": metrics, "metric": metrics[0], "aggregates": ()}
    return Parts(**dict.fromkeys(Parts._fields) | known | made)


def test_a_metric_that_chooses_must_be_defined(problem):
    choosing = parts(["auc"], learner=lambda: None)
    compatibility.check_problem(choosing, problem, objectives.mse())
    liked = problem._replace(spec=replace(problem.spec, like=problem.spec.low))
    with pytest.raises(UserError, match=r"^metric=auc is undefined for every meta-validation task: "):
        compatibility.check_problem(choosing, liked, objectives.mse())
    compatibility.check_problem(parts(["mae"], learner=lambda: None), liked, objectives.mse())
    with pytest.raises(UserError, match=r"^metric=auc is undefined .* set dataset.like$"):  # baselines are tuned by it
        compatibility.check_problem(parts(["auc"]), liked, objectives.mse())


def test_one_label_leaves_no_errors_to_measure(problem):
    """Every row is a like: a constant errs by nothing, and what minimises an error learns nothing."""
    likes = problem.train._replace(label=jax.numpy.ones_like(problem.train.label))
    alike = problem._replace(train=likes)
    for name in ("mae", "rmse", "bias", "logloss"):
        with pytest.raises(UserError, match=rf"^metrics={name}: every label that is trained on is 1, and a constant"):
            compatibility.check_problem(parts(["auc", name]), alike, objectives.mse())
    for objective in (objectives.mse(), objectives.bce(), objectives.mae()):
        with pytest.raises(UserError, match=r"^objective: .*label.* 1"):
            compatibility.check_problem(parts(["auc"], learner=lambda: None), alike, objective)
    for objective in (ranking(), ranking(negatives=True)):
        compatibility.check_problem(parts(["auc"], learner=lambda: None), alike, objective)
    compatibility.check_problem(parts(["auc"]), alike, objectives.mse())  # the baselines alone, by a ranking


def test_binary_objectives_need_binary_labels(problem, data, cut):
    with pytest.raises(UserError, match=r"labels from 1 to 5; set protocol\.labels=liked"):
        compatibility.check_problem(parts(), problem, objectives.bce())
    compatibility.check_problem(parts(), cut(data, labels="liked"), objectives.bce())
    compatibility.check_problem(parts(), problem, objectives.mse())


def ranking(**more):
    """An objective whose scores only rank."""
    return Objective(lambda scores, labels, where, weights=None, key=None, **_: scores.sum(), rates=False, **more)


def test_scores_that_only_rank_are_not_chosen_by_ratings(problem):
    with pytest.raises(UserError, match=r"^metric=mae: it reads ratings, .* choose by one of auc, ndcg@3$"):
        compatibility.check_problem(parts(["mae", "auc", "ndcg@3"], learner=lambda: None), problem, ranking())
    with pytest.raises(UserError, match=r"choose by a ranking, as metrics=\[ndcg@5\] metric=ndcg@5$"):
        compatibility.check_problem(parts(["mae"], learner=lambda: None), problem, ranking())
    compatibility.check_problem(parts(["auc", "mae"], learner=lambda: None), problem, ranking())
    compatibility.check_problem(parts(["mae"]), problem, ranking())  # the baselines alone


def test_a_loss_takes_what_it_is_given():
    compatibility.check_objective(objectives.mse())
    for objective in (Objective(lambda s, y, m: s), ranking()._replace(loss=lambda s, y, m, weights=None, key=None: s,
                                                                       negatives=True)):  # fmt: skip
        with pytest.raises(
            UserError, match=r"^objective: its loss must take \(scores, labels, where, weights=None, key"
        ):
            compatibility.check_objective(objective)
    with pytest.raises(UserError, match=r"^objective: its target must return an Objective, and returned a int$"):
        compatibility.check_objective(3)


def learner(objective, passes):
    """One whose loss is given what it passes on."""

    def meta_grad(params, batch, key):
        more = {name: getattr(batch, of) for name, of in passes.items()}
        return params, {"loss": objective.loss(batch.label, batch.label, batch.task.query.mask, **more)}

    return Learner(lambda key: {}, lambda *_: (), lambda *_: (), meta_grad, 0)


def drawing(problem, **more):
    """The problem, its batches with more in them."""
    return problem._replace(gather=lambda tasks, drawn: problem.gather(tasks, drawn)._replace(**more))


NEGATIVES = Negatives(np.zeros((2, 1), int), {}, np.zeros((2, 1)), np.ones((2, 1), bool))


def test_negatives_must_be_drawn_and_passed_on(problem):
    contrast = ranking(negatives=True)
    passing, deaf = (lambda objective, passes=passes: learner(objective, passes)
                     for passes in ({"negatives": "negatives"}, {}))  # fmt: skip
    with pytest.raises(UserError, match=r"^objective: this one contrasts .* draw some, as with protocol\.episodes\."):
        compatibility.check_batch(passing, contrast, problem, {})
    with pytest.raises(UserError, match=r"^learner: this one passes no negatives to the loss"):
        compatibility.check_batch(deaf, contrast, drawing(problem, negatives=NEGATIVES), {})
    assert compatibility.check_batch(passing, contrast, drawing(problem, negatives=NEGATIVES), {}) == []
    assert compatibility.check_batch(passing, ranking(), drawing(problem, negatives=NEGATIVES), {}) == [
        "negatives have no part in this objective: drawing them changes nothing"
    ]


def test_row_weights_that_are_not_used_are_said(problem):
    weighted = drawing(problem, weight=jax.numpy.ones((2, problem.spec.query)))
    using, deaf = (lambda objective, passes=passes: learner(objective, passes)
                   for passes in ({"weights": "weight"}, {}))  # fmt: skip
    assert compatibility.check_batch(using, objectives.mse(), weighted, {}) == []
    assert compatibility.check_batch(deaf, objectives.mse(), weighted, {}) == [
        "row weights have no part in this learner: they change nothing"
    ]

    def own(objective):
        """A learner that weighs the rows in a loss of its own."""
        made = learner(objective, {})
        return made._replace(meta_grad=lambda params, batch, key: ({}, {"loss": (batch.weight * batch.label).sum()}))

    assert compatibility.check_batch(own, objectives.mse(), weighted, {}) == []


def test_an_augmentation_keeps_shapes(problem):
    compatibility.check_augmentation(lambda key, batch: batch._replace(label=-batch.label), problem)
    for broken in (
        lambda key, batch: batch._replace(label=batch.label[:, :1]),
        lambda key, batch: batch._replace(label=batch.label.astype(int)),
        lambda key, batch: batch.task,
    ):
        with pytest.raises(UserError, match=r"^augmentation: it must return a batch of the shapes and dtypes"):
            compatibility.check_augmentation(broken, problem)
    with pytest.raises(UserError, match=r"^augmentation: it can't be applied to a batch: "):
        compatibility.check_augmentation(lambda batch: batch, problem)  # pyright: ignore[reportArgumentType]


def test_a_schedule_gives_a_number_for_a_step():
    prepare.check_schedule(lambda steps: optax.linear_schedule(1.0, 0.0, steps), 10)
    with pytest.raises(UserError, match=r"^schedule: it must return a function of the step: "):
        prepare.check_schedule(lambda steps: 0.5, 10)  # pyright: ignore[reportArgumentType]
    with pytest.raises(UserError, match=r"^schedule: it must give one number for a step, and gives \[2\]$"):
        prepare.check_schedule(lambda steps: lambda step: jax.numpy.ones(2), 10)


def test_keys_that_are_none_of_the_roots_are_refused():
    known = {"seeds": [0], "metrics": ["mae"], "baselines": []}
    with pytest.raises(UserError, match=r"^foo: no such key; the config has dataset, cleaning, "):
        schema.check(known | {"foo": 1})
    for key in ("metrics", "baselines"):
        with pytest.raises(UserError, match=rf"^{key}=3: must be a list of names and blocks, as \[a,"):
            schema.check(known | {key: [3]})
    with pytest.raises(UserError, match=r"^schedule=null: must be a name, or a block with a _target_$"):
        schema.check(known | {"metric": "mae", "schedule": None})


def test_a_cutoff_must_leave_candidates_out(problem):
    compatibility.check_problem(parts(["ndcg@3", "mrr"]), problem, objectives.mse())
    with pytest.raises(UserError, match=r"^metrics=recall@4: no task has more than 4 candidates"):
        compatibility.check_problem(parts(["recall@4"]), problem, objectives.mse())


def test_rounded_predictions_need_few_labels(problem, data, cut):
    compatibility.check_problem(parts(["mae", "mae_rounded"]), problem, objectives.mse())
    scattered = replace(data, label=np.linspace(1, 5, len(data.label), dtype=np.float32))
    with pytest.raises(UserError, match=r"^metrics=mae_rounded: these labels have too many values to round to"):
        compatibility.check_problem(parts(["mae", "mae_rounded"]), cut(scattered), objectives.mse())


def test_what_is_shown_needs_a_catalogue_and_features(problem, data, cut):
    with pytest.raises(UserError, match=r"^metrics=novelty@3: .* set protocol\.candidates\.kind=full"):
        compatibility.check_problem(parts(["mae", "novelty@3"]), problem, objectives.mse())
    full = cut(data, candidates="full")
    compatibility.check_problem(parts(["mae", "novelty@3", "ild@3"]), full, objectives.mse())
    with pytest.raises(UserError, match=r"^metric=novelty@3: it asks what is shown and not what is liked"):
        compatibility.check_problem(parts(["novelty@3"]), full, objectives.mse())
    with pytest.raises(UserError, match=r"^metrics=coverage@3: .* set protocol\.candidates\.kind=full"):
        compatibility.check_problem(parts(aggregates=(aggregate("coverage@3"),)), problem, objectives.mse())
    with pytest.raises(UserError, match=r"^metrics=coverage@999: no task has more than"):
        compatibility.check_problem(parts(aggregates=(aggregate("coverage@999"),)), full, objectives.mse())
    bare = cut(replace(data, items=replace(data.items, features={})), candidates="full")
    compatibility.check_problem(parts(["mae", "novelty@3"]), bare, objectives.mse())
    with pytest.raises(UserError, match=r"^metrics=ild@3: it compares items by their categorical"):
        compatibility.check_problem(parts(["mae", "ild@3"]), bare, objectives.mse())


def test_parts_that_the_learner_has_no_use_for():
    assert compatibility.unused_parts({"encoder": jax.numpy.zeros(2)}) == ["scorer"]
