"""Metrics by name; what is refused; and that the old way of asking for one still holds."""

import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.metrics import ALLOWED, aggregate, check, check_cutoff, check_floor, metric, query_view, random_floor
from recmeta.types import UserError


def test_names():
    assert metric("ndcg@5") is metric("ndcg@5")
    assert (metric("rmse").goal, metric("logloss").goal, metric("bias").goal, metric("hr@3").goal) == (
        "min", "min", "min", "max",
    )  # fmt: skip
    assert (metric("auc").reads, metric("bias").reads) == ("score", "prediction")
    assert (metric("mrr").cutoff, metric("mrr@10").cutoff) == (None, 10)
    for name in ALLOWED:
        typed = name.replace("@k", "@7")
        made = aggregate(typed) or metric(typed)
        assert made.name == name.replace("@k", "@7")
        assert made.cutoff == (7 if name.endswith("@k") else None)


def test_names_of_what_is_measured_of_all_tasks_at_once():
    assert aggregate("coverage@5") is aggregate("coverage@5")
    assert [aggregate(name) for name in ("coverage", "coverage@0", "coverage@x", "ndcg@5", "mae")] == [None] * 5


@pytest.mark.parametrize(
    "name", ["ndcg", "ndcg@0", "ndcg@-1", "ndcg@five", "mae@5", "auc@", "recall@05", "map", "coverage", ""]
)
def test_a_wrong_name_says_what_is_allowed(name):
    with pytest.raises(UserError, match=r"ndcg@k.*legacy\.mamo_ndcg@k"):
        metric(name)


def test_value_is_of_query_rows():
    label, mask = jnp.array([5.0, 1, 2]), jnp.ones(3, bool)
    assert metric("mrr").value(jnp.array([0.0, 2, 1]), label, mask, 4.0) == pytest.approx(1 / 3)
    assert metric("mae").value(jnp.array([4.0, 2, 3]), label, mask, 4.0) == 1


def test_predictions_have_no_random_floor():
    label = jnp.ones(2)
    with pytest.raises(ValueError, match="predictions"):
        random_floor(metric("mae"), query_view(label, label, label, jnp.ones(2, bool), like=4))


@pytest.mark.parametrize(
    ("name", "low", "high", "instead"),
    [
        ("ndcg@5", -10, 10, "recall@5"),
        ("ndcg_linear@5", -1, 1, "recall@5"),
        ("ndcg@5", 0, 128, "ndcg_linear@5"),
        ("legacy.mamo_ndcg@3", 0, 500, "ndcg_linear@3"),
        ("ndcg@5", 0, 127.9, None),
        ("ndcg_linear@5", 0, 1e6, None),
        ("recall@5", -10, 1e6, None),
        ("mae", -10, 1e6, None),
    ],
)
def test_labels_that_can_be_no_gains_are_refused(name, low, high, instead):
    if instead is None:
        assert check(metric(name), low, high) is None
    else:
        with pytest.raises(UserError, match=instead):
            check(metric(name), low, high)


def test_rounding_needs_something_to_round_to():
    assert check(metric("mae_rounded"), 1, 5, few=True) is None
    with pytest.raises(UserError, match="too many values to round to; choose mae"):
        check(metric("mae_rounded"), 1, 5, few=False)


def test_a_cutoff_that_cuts_nothing_is_refused():
    candidates = np.array([7, 10, 3])
    assert check_cutoff(metric("recall@9"), candidates) is None
    assert check_cutoff(metric("mrr"), candidates) is None
    with pytest.raises(UserError, match="no task has more than 10 candidates"):
        check_cutoff(metric("recall@10"), candidates)


def test_a_metric_that_chance_saturates_is_refused():
    """Ten rows, the five best-rated of them taken for liked: nearly every list of five has one."""
    label = jnp.array([5.0] * 5 + [1] * 5)
    view = query_view(label, label, label, jnp.ones(10, bool), like=4)
    floor = {name: np.asarray(random_floor(metric(name), view))[None] for name in ("hr@5", "recall@5")}
    assert floor["hr@5"] == pytest.approx(1 - 1 / 252)
    assert check_floor(metric("recall@5"), floor["recall@5"]) is None
    with pytest.raises(UserError, match=r"0\.996"):
        check_floor(metric("hr@5"), floor["hr@5"])
