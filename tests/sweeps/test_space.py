"""What is typed, as what is searched."""

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from recmeta.sweeps.space import default, each_once, edges, grid, space, typed
from recmeta.types import UserError


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ("interval(0.1,1)", FloatDistribution(0.1, 1)),
        ("tag(log,interval(0.01,1))", FloatDistribution(0.01, 1, log=True)),
        ("int(interval(1,5))", IntDistribution(1, 5)),
        ("tag(log,int(interval(1,64)))", IntDistribution(1, 64, log=True)),
        ("range(1,6,2)", IntDistribution(1, 5, step=2)),
        ("range(0.5,2.5,0.5)", FloatDistribution(0.5, 2, step=0.5)),
        ("choice(16,32)", CategoricalDistribution(["16", "32"])),
        ("[8],[8,8],null", CategoricalDistribution(["[8]", "[8,8]", "null"])),
    ],
)
def test_what_is_typed_is_searched(values, expected):
    found = space(["learner=maml", f"a.b={values}"])
    assert found.fixed == ["learner=maml"]
    assert found.searched == {"a.b": expected}


def test_the_later_of_two_counts():
    assert space(["a=1,2", "a=3,4"]).searched == {"a": CategoricalDistribution(["3", "4"])}
    found = space(["a=1", "b=1,2", "a=interval(0,1)", "b=5"])
    assert (found.fixed, list(found.searched)) == (["b=5"], ["a"])


@pytest.mark.parametrize("wrong", ["a=interval(2,1)", "a=tag(log,interval(0,1))", "a=range(3,3)"])
def test_a_range_that_is_none_is_refused(wrong):
    with pytest.raises(UserError, match=r"^a="):
        space([wrong])


@pytest.mark.parametrize(
    "typed",
    [
        "seeds=[0],[1]", "++seeds=[0],[1]", "metric=mae,rmse", "dataset=ml_100k,ml_1m", "dataset.path=a,b",
        "cleaning=none,[]", "protocol=warm,user_cold", "protocol.episodes.query=range(1,5)",
    ],
)  # fmt: skip
def test_what_makes_trials_incomparable_is_not_searched(typed):
    with pytest.raises(UserError, match=r"a search can't go over \w+.*can't be compared; give it one value"):
        space([typed])


@pytest.mark.parametrize("key", ["name", "output", "reporter", "reporter.wandb.mode", "force"])
def test_what_changes_no_number_is_not_searched(key):
    with pytest.raises(UserError, match=rf"^{key}=a,b: a search can't go over {key}: it changes no number"):
        space([f"{key}=a,b"])


def test_what_training_alone_reads_of_a_protocol_is_searched():
    for key, values in {"train_shots": "null,[5]", "negatives.number": "1,5"}.items():
        assert list(space([f"protocol.episodes.{key}={values}"]).searched) == [f"protocol.episodes.{key}"]


def test_nothing_to_search_is_refused():
    with pytest.raises(UserError, match="nothing is searched"):
        space(["learner=maml"])


def test_the_default_is_a_point_where_all_of_it_is_searched():
    found = space(["rate=interval(0.01,1)", "steps=range(1,6,2)", "learner=maml,reptile", "clip=null,1.0"])
    at = {"rate": 0.1, "steps": 3, "learner": "maml", "clip": None}
    assert default(found, at) == {"rate": 0.1, "steps": 3, "learner": "maml", "clip": "null"}
    for outside in ({"rate": 2.0}, {"steps": 2}, {"steps": 7}, {"learner": "ridge"}, {"rate": None}, {"steps": True}):
        assert default(found, at | outside) is None
    assert [set(point) for point in each_once(found)] == [set(at)] * 2
    assert typed({"rate": 0.1}) == ["rate=0.1"]


def test_a_grid_needs_an_end():
    found = space(["a=1,2", "b=range(1,4)", "c=range(0.0,1.0,0.5)"])
    assert grid(found) == {"a": ["1", "2"], "b": [1, 2, 3], "c": [0, 0.5]}
    with pytest.raises(UserError, match=r"sampler=grid: rate has infinitely many values"):
        grid(space(["rate=interval(0,1)"]))


def test_edges_are_seen_in_the_scale_that_is_searched():
    found = space(["log=tag(log,interval(0.001,1))", "flat=interval(0.001,1)", "width=8,16,32", "kind=x,y", "one=3,3"])
    at = {"log": 0.03, "flat": 0.03, "width": "32", "kind": "x", "one": "3"}
    assert edges(found, at) == [
        "flat=0.03 is at the lower edge of 0.001 to 1", "width=32 is at the upper edge of 8 to 32",
    ]  # fmt: skip
