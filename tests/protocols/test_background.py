"""What is known beyond one task is of meta-train alone, and in the codes that a model reads."""

from dataclasses import replace

import numpy as np
import pytest

from recmeta.protocols.background import make_background
from recmeta.protocols.plan import Histories
from recmeta.types import ENTITY, Relation


def by_numpy(data, problem, task):
    """The meta-train rows of the manifest: (code of the item, entity, label), sorted."""
    rows = problem.split.frame.filter(role="train")["row"].to_numpy()
    entity, item = (data.user, data.item) if task == "user" else (data.item, data.user)
    codes = np.asarray(problem.train.entities["id"])[item[rows]]
    return sorted(zip(codes.tolist(), entity[rows].tolist(), data.label[rows].tolist(), strict=True))


@pytest.mark.parametrize("task", ["user", "item"])
def test_the_memory_is_the_rows_of_meta_train_and_no_others(data, cut, task):
    problem = cut(data, task=task, shots=(0, 1, 3), query=3)
    memory = problem.background().memory
    codes = np.repeat(np.arange(len(memory.start) - 1), np.diff(memory.start))
    got = sorted(zip(codes.tolist(), memory.entity.tolist(), memory.label.tolist(), strict=True))
    assert got == by_numpy(data, problem, task)
    assert memory.start[1] == 0  # the unknown one has no rows
    size = next(field.size for field in problem.spec.row if field.name == "id")
    assert len(memory.start) == size + 1
    tested = [problem.validation, *problem.test.values()]
    others = {int(entity) for batch in tested for entity in np.asarray(batch.task.context[ENTITY])}
    assert others
    assert not others & set(memory.entity.tolist())
    assert set(memory.entity.tolist()) == set(np.asarray(problem.train.entity).tolist())
    assert len(memory.time) == len(memory.label) == problem.spec.rows


def test_labels_of_test_users_change_nothing_in_it(data, cut):
    problem = cut(data)
    trained = problem.split.frame.filter(role="train")["row"].to_numpy()
    label = np.full_like(data.label, 1.0)
    label[trained] = data.label[trained]
    assert (label != data.label).any()
    other = cut(replace(data, label=label)).background().memory
    for got, expected in zip(other, problem.background().memory, strict=True):
        np.testing.assert_array_equal(got, expected)


@pytest.mark.parametrize("task", ["user", "item"])
def test_relations_are_in_the_codes_that_a_model_reads(data, cut, task):
    rng = np.random.default_rng(0)
    users, items = (len(side.ids) for side in (data.users, data.items))
    weight = rng.uniform(size=30).astype(np.float32)
    pairs = {"user": rng.integers(users, size=30), "item": rng.integers(items, size=30)}
    relations = {
        "friends": Relation(("user", "user"), pairs["user"], pairs["user"][::-1], weight),
        "likes": Relation(("user", "item"), pairs["user"], pairs["item"], weight),
    }
    problem = cut(replace(data, relations=relations), task=task, shots=(0, 1, 3), query=3)
    background, codes = problem.background(), np.asarray(problem.train.entities["id"])
    assert background.entities == len(problem.train.contexts[ENTITY]) == (users if task == "user" else items)
    role = {"user": "context", "item": "row"} if task == "user" else {"user": "row", "item": "context"}
    for name, given in relations.items():
        got, there = background.relations[name], np.ones(30, bool)
        ends = []
        for side, end in zip(given.sides, (given.source, given.target), strict=True):
            coded = codes[end] if role[side] == "row" else end
            there &= (coded > 0) | (role[side] == "context")
            ends.append(coded)
        assert got.sides == tuple(role[side] for side in given.sides)
        np.testing.assert_array_equal(got.source, ends[0][there])
        np.testing.assert_array_equal(got.target, ends[1][there])
        np.testing.assert_array_equal(got.weight, weight[there])
        assert background.dropped[name] == (~there).sum()


def test_a_pair_of_an_item_that_meta_train_has_not_seen_is_left_out(data):
    codes = np.where(np.arange(len(data.items.ids)) == 2, 0, np.arange(len(data.items.ids)) + 1).astype(np.int32)
    pairs = Relation(("item", "item"), np.array([0, 1, 2]), np.array([1, 2, 3]), np.ones(3))
    train = Histories(np.array([5]), np.array([0, 0]), np.array([], int))
    background = make_background(replace(data, relations={"next": pairs}), train, codes)
    assert background.relations["next"].source.tolist() == [1]
    assert background.relations["next"].target.tolist() == [2]
    assert background.dropped == {"next": 2}
