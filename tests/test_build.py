from typing import Annotated

import jax
import optax
import pytest
from annotated_types import Gt

from recmeta import build, objectives
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
    made = build.component("group", block(size=3, rate=1, shape=[4, 5]), ("spec",))
    assert made is not None
    assert made("given") == ("given", 3, 1.0, (4, 5), False)


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
        ({"size": 1, "_partial_": False}, "group._"),
    ],
)
def test_settings_that_are_wrong(settings, said):
    with pytest.raises(UserError) as refused:
        build.component("group", block(**settings), ("spec",))
    assert str(refused.value).startswith(said)


def test_no_target_is_no_component():
    assert build.component("learner", {"_target_": None}, ()) is None


def test_a_component_that_takes_anything():
    made = build.component("group", block("anything", any=1), ())
    assert made is not None
    assert made() == {"any": 1}


def test_target_that_does_not_exist():
    with pytest.raises(UserError, match=r"^group\._target_=recmeta\.nothing\.here: "):
        build.component("group", {"_target_": "recmeta.nothing.here", "_partial_": True}, ())


def test_components_of_other_packages():
    adam = {"_target_": "optax.adam", "_partial_": True, "_convert_": "all", "learning_rate": 0.1}
    made = build.component("optimizer", adam, ())
    assert made is not None
    assert isinstance(made(), optax.GradientTransformation)


def parts(metrics=("mae",)):
    made = dict.fromkeys(build.Parts._fields)
    return build.Parts(**made | {"metrics": tuple(map(build.parse_metric, metrics))})  # pyright: ignore


def test_binary_objectives_need_binary_labels(problem, data, cut):
    with pytest.raises(UserError, match=r"labels from 1 to 5; set protocol\.labels=liked"):
        build.check_problem(parts(), problem, objectives.bce())
    build.check_problem(parts(), cut(data, labels="liked"), objectives.bce())
    build.check_problem(parts(), problem, objectives.mse())


def test_a_cutoff_must_leave_candidates_out(problem):
    build.check_problem(parts(["ndcg@3", "mrr"]), problem, objectives.mse())
    with pytest.raises(UserError, match=r"^metrics=recall@4: with protocol\.query=4 "):
        build.check_problem(parts(["recall@4"]), problem, objectives.mse())


def test_parts_that_the_learner_has_no_use_for(problem):
    del problem

    class Learner:
        @staticmethod
        def init(key):
            return {"encoder": jax.numpy.zeros(2)}

    assert build.unused_parts(Learner) == ["scorer"]  # pyright: ignore
