"""Four states from one split: who is where, and what none of them may share."""

import numpy as np
import polars as pl
import pytest

from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.episodes import Episodes
from recmeta.protocols.matrix import matrix
from recmeta.types import UserError

STATES = {"w_w": "w_w", "c_w": "c_w", "w_c": "w_c", "c_c": "c_c"}
SETTINGS = {
    "scenarios": STATES, "selection": None, "known": False, "task": "user", "seed": 0, "order": "random",
    "labels": "rating", "test_users": 0.3, "validation_users": 0.2, "test_items": 0.3, "validation_items": 0.2,
    "test_pairs": 0.2, "validation_pairs": 0.2, "episodes": Episodes(shots=(0, 1), query=1),
    "candidates": CandidateRule(),
}  # fmt: skip


@pytest.fixture(scope="module")
def problem(data):
    return matrix(data, **SETTINGS)


def rows(problem, **where):
    frame = problem.split.frame.filter(*(pl.col(name) == value for name, value in where.items()))
    return frame["row"].to_numpy()


def test_a_state_is_what_it_says(data, problem):
    known = rows(problem, role="train")
    for scenario in STATES:
        tested = rows(problem, role="test", scenario=scenario)
        assert set(tested.tolist()).isdisjoint(known.tolist())
        users, items = (np.isin(who[tested], who[known]) for who in (data.user, data.item))
        assert users.all() if scenario[0] == "w" else not users.any()
        assert items.mean() > 0.8 if scenario[2] == "w" else not items.any()  # a warm item may be too rare to be known


def test_support_and_query_are_of_one_user_and_apart(data, problem):
    for scenario, batch in problem.test.items():
        support = rows(problem, scenario=scenario, part="support")
        query = rows(problem, scenario=scenario, part="query")
        assert set(support.tolist()).isdisjoint(query.tolist())
        np.testing.assert_array_equal(data.user[support], data.user[query])
        np.testing.assert_array_equal(batch.label[:, 0], data.label[query])
        assert [str(data.users.ids[user]) for user in data.user[query]] == list(problem.names[scenario])


def test_a_cold_item_is_unknown_and_has_its_features(data, problem):
    batch = problem.test["c_c"]
    assert (np.asarray(batch.task.query.x["id"]) == 0).all()
    assert np.asarray(batch.task.query.x["genre"]).any()
    assert (np.asarray(problem.test["c_w"].task.query.x["id"]) > 0).mean() > 0.8


def test_no_row_is_in_two_roles_and_none_goes_missing(data, problem):
    frame = problem.split.frame
    roles = frame.group_by("row").agg(pl.col("role").n_unique(), pl.col("scenario").n_unique())
    assert roles["role"].max() == 1
    assert roles["scenario"].max() == 1
    assert problem.split.counts["rows_not_used"] == len(data.user) - len(roles)


def test_meta_validation_is_of_the_first_scenario_or_of_the_one_named(data):
    known = rows(matrix(data, **SETTINGS), role="train")
    items = set(data.item[known].tolist())
    for scenarios, selection, cold in (({"item_cold": "w_c"}, None, True), (STATES, "c_w", False)):
        problem = matrix(data, **SETTINGS | {"scenarios": scenarios, "selection": selection})
        found = set(data.item[rows(problem, role="validation")].tolist())
        assert found.isdisjoint(items) == cold


def test_an_own_id_is_an_input_where_it_is_said_to_be_known(data):
    problem = matrix(data, **SETTINGS | {"known": True})
    assert problem.spec.context[0].name == "id"
    assert (np.asarray(problem.test["w_w"].task.context["id"]) > 0).all()
    assert (np.asarray(problem.test["c_w"].task.context["id"]) == 0).all()


def test_an_item_may_be_the_task(data):
    problem = matrix(data, **SETTINGS | {"task": "item", "scenarios": {"item_cold": "c_w"}})
    tested, known = rows(problem, role="test"), rows(problem, role="train")
    assert set(data.item[tested].tolist()).isdisjoint(data.item[known].tolist())
    assert set(data.user[tested].tolist()) <= set(data.user[known].tolist())


def test_refuses_what_leaves_a_state_empty(data):
    with pytest.raises(UserError, match="leaves 0 tasks for w_c"):
        matrix(data, **SETTINGS | {"test_items": 0.0})
