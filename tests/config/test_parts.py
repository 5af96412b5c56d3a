"""Metrics, baselines and the schedule: by name, or by a block with a target."""

import sys
import types
from typing import Annotated

import jax.numpy as jnp
import numpy as np
import optax
import pytest
from annotated_types import Gt

from recmeta.baselines.panel import BASELINES
from recmeta.config import parts
from recmeta.metrics import Metric, metric, query_view
from recmeta.metrics.lists import coverage
from recmeta.types import Baseline, UserError


def hit(*, k: Annotated[int, Gt(0)]) -> Metric:
    return Metric(f"hit@{k}", "max", "score", lambda view: (view.liked & (view.above < k)).any() * 1.0, cutoff=k)


def always(*, value: float = 3.0) -> Baseline:
    predict = lambda state, settings, key, context, support, query: jnp.full(query.mask.shape, value)  # noqa: E731
    return Baseline(lambda problem: None, predict, rates=True)


def mae() -> Metric:
    return Metric("mae", "min", "prediction", lambda view: jnp.zeros(()))


def covered():
    return coverage(7)._replace(name="covered@7")


def warmup(steps: int, *, share: Annotated[float, Gt(0)]) -> optax.Schedule:
    return optax.linear_schedule(0.0, 1.0, int(share * steps))


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    module = types.ModuleType("mine_parts")
    module.__dict__.update(hit=hit, always=always, mae=mae, covered=covered, warmup=warmup)
    monkeypatch.setitem(sys.modules, "mine_parts", module)


def block(name, **settings):
    return {"_target_": f"mine_parts.{name}", **settings}


def test_metrics_by_name_and_by_block():
    made = parts.make_metrics(["mae", block("hit", k=5), "ndcg@3", block("covered")])
    assert [each.name for each in made] == ["mae", "hit@5", "ndcg@3", "covered@7"]
    assert made[0] is metric("mae")
    assert parts.make_metrics([block("hit", k=5)])[0] is made[1], "so that programs are compiled once"


def test_a_ranking_metric_is_nan_where_a_score_is():
    (made,) = parts.make_metrics([block("hit", k=1)])
    view = lambda score: query_view(jnp.array(score), *jnp.ones((2, 2)), jnp.ones(2, bool), like=1)  # noqa: E731
    assert made.of(view([2.0, 1.0])) == 1
    assert np.isnan(made.of(view([2.0, np.nan])))


@pytest.mark.parametrize("chosen", ["hit@5", block("hit", k=5)])
def test_the_metric_that_chooses_is_one_that_is_measured(chosen):
    values = ["mae", block("hit", k=5)]
    measured = parts.make_metrics(values)
    assert parts.choosing_metric(chosen, values, measured) is measured[1]
    with pytest.raises(UserError, match=r"^metric=hit@9 is not one of metrics=\[mae,hit@5\]; add it there$"):
        parts.choosing_metric(block("hit", k=9), values, measured)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["mea"], "metric=mea: no such metric; allowed are mae, "),
        ([block("hit", k=0)], "metrics.hit(k=0).k=0: input should be greater than 0"),
        ([block("hit")], "metrics.hit.k is missing: hit needs it"),
        ([block("hit", k=5, j=1)], "metrics.hit(k=5, j=1).j: hit has no such setting; it has k"),
        ([block("hit", k=5), block("hit", k=5)], "metrics: there are two called hit@5"),
        ([block("always")], "metrics.always: mine_parts.always must return a Metric or Aggregate, and returned a Base"),
        ([block("mae")], "metrics.mae: mae is the name of one of recmeta's metrics; give it another"),
        ([{"k": 5}], "metrics.None(k=5)._target_ is missing"),
        ([block("nothing")], "metrics.nothing._target_=mine_parts.nothing: "),
    ],
)
def test_metrics_that_are_refused(values, said):
    with pytest.raises(UserError) as refused:
        parts.make_metrics(values)
    assert str(refused.value).startswith(said)


def test_baselines_by_name_and_by_block():
    made = parts.make_baselines(["item_mean", block("always"), block("always", value=4.5)])
    assert list(made) == ["item_mean", "always", "always(value=4.5)"]
    assert made["item_mean"] is BASELINES["item_mean"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (["item_men"], "baselines=item_men: no such baseline; there are random, "),
        ([block("always", value="x")], "baselines.always(value=x).value=x: input should be a valid number"),
        ([block("always"), block("always")], "baselines: there are two called always"),
        ([block("hit", k=1)], "baselines.hit(k=1): mine_parts.hit must return a Baseline, and returned a Metric"),
    ],
)
def test_baselines_that_are_refused(values, said):
    with pytest.raises(UserError) as refused:
        parts.make_baselines(values)
    assert str(refused.value).startswith(said)


def test_a_baseline_may_not_take_the_name_of_another(monkeypatch):
    monkeypatch.setattr(sys.modules["mine_parts"], "ease", always, raising=False)
    with pytest.raises(UserError, match=r"^baselines: there are two called ease; give each a name of its own$"):
        parts.make_baselines([block("ease")])


def test_schedules_by_name_and_by_block():
    assert parts.make_schedule("constant") is None
    linear, own = parts.make_schedule("linear"), parts.make_schedule(block("warmup", share=0.5))
    assert linear is not None
    assert own is not None
    np.testing.assert_allclose([linear(10)(5), own(10)(2), own(10)(5), own(10)(9)], [0.5, 0.4, 1, 1])
    ready = parts.make_schedule({"_target_": "optax.exponential_decay", "init_value": 1.0, "transition_steps": 1,
                                 "decay_rate": 0.5})  # fmt: skip
    assert ready is not None
    assert ready(10)(2) == 0.25, "one that asks for no steps is a schedule already"
    with pytest.raises(UserError, match=r"^schedule=fast: there are constant, linear, cosine, or a block"):
        parts.make_schedule("fast")
    with pytest.raises(UserError, match=r"^schedule\.share=-1: input should be greater than 0$"):
        parts.make_schedule(block("warmup", share=-1))
