from dataclasses import replace
from typing import Annotated

import jax
import numpy as np
import optax
import pytest
from annotated_types import Gt

from recmeta.config import compatibility, components, schema
from recmeta.experiment import prepare
from recmeta.metrics import aggregate
from recmeta.objectives import pointwise as objectives
from recmeta.types import UserError


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
    plain = {"clip": None, "schedule": "constant", "steps": 1, "freeze": []}
    made = parts(optimizer=optimizer, numbers={"optimizer": {}})
    return prepare.make_optimizer(made, schema.Root(**plain), {"weight": jax.numpy.ones(2)})


def parts(metrics=("mae",), **made):
    metrics = tuple(map(components.parse_metric, metrics))
    known = {"metrics": metrics, "metric": metrics[0], "aggregates": ()}
    return components.Parts(**dict.fromkeys(components.Parts._fields) | known | made)


def test_a_metric_that_chooses_must_be_defined(problem):
    choosing = parts(["auc"], learner=lambda: None)
    compatibility.check_problem(choosing, problem, objectives.mse())
    liked = problem._replace(spec=replace(problem.spec, like=problem.spec.low))
    with pytest.raises(UserError, match=r"^metric=auc is undefined for every meta-validation task: "):
        compatibility.check_problem(choosing, liked, objectives.mse())
    compatibility.check_problem(parts(["mae"], learner=lambda: None), liked, objectives.mse())
    compatibility.check_problem(parts(["auc"]), liked, objectives.mse())


def test_binary_objectives_need_binary_labels(problem, data, cut):
    with pytest.raises(UserError, match=r"labels from 1 to 5; set protocol\.labels=liked"):
        compatibility.check_problem(parts(), problem, objectives.bce())
    compatibility.check_problem(parts(), cut(data, labels="liked"), objectives.bce())
    compatibility.check_problem(parts(), problem, objectives.mse())


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
    with pytest.raises(UserError, match=r"^metrics=novelty@3: .* set protocol\.candidates=full"):
        compatibility.check_problem(parts(["mae", "novelty@3"]), problem, objectives.mse())
    full = cut(data, candidates="full")
    compatibility.check_problem(parts(["mae", "novelty@3", "ild@3"]), full, objectives.mse())
    with pytest.raises(UserError, match=r"^metric=novelty@3: it asks what is shown and not what is liked"):
        compatibility.check_problem(parts(["novelty@3"]), full, objectives.mse())
    with pytest.raises(UserError, match=r"^metrics=coverage@3: .* set protocol\.candidates=full"):
        compatibility.check_problem(parts(aggregates=(aggregate("coverage@3"),)), problem, objectives.mse())
    with pytest.raises(UserError, match=r"^metrics=coverage@999: no task has more than"):
        compatibility.check_problem(parts(aggregates=(aggregate("coverage@999"),)), full, objectives.mse())
    bare = cut(replace(data, items=replace(data.items, features={})), candidates="full")
    compatibility.check_problem(parts(["mae", "novelty@3"]), bare, objectives.mse())
    with pytest.raises(UserError, match=r"^metrics=ild@3: it compares items by their categorical"):
        compatibility.check_problem(parts(["mae", "ild@3"]), bare, objectives.mse())


def test_parts_that_the_learner_has_no_use_for():
    assert compatibility.unused_parts({"encoder": jax.numpy.zeros(2)}) == ["scorer"]
