"""The split: who is where, what is fitted on whom, and what is refused."""

from dataclasses import replace

import jax
import numpy as np
import polars as pl
import pytest

from recmeta.datasets.interactions import make_interactions
from recmeta.features.fitting import completeness
from recmeta.types import Entities, Field, UserError


def build(frames):
    rows, users, items = frames
    return make_interactions("small", rows, users=users, items=items, label_range=(1, 5), like=4)


def part(problem, role, part, width):
    rows = problem.split.frame.filter((pl.col("role") == role) & (pl.col("part") == part))
    return rows["task"].to_numpy().reshape(-1, width), rows["row"].to_numpy().reshape(-1, width)


def roles(problem, data):
    frame = problem.split.frame
    tasks = {role: frame.filter(pl.col("role") == role)["task"].unique() for role in ("train", "validation", "test")}
    return {role: {str(data.users.ids[task]) for task in found} for role, found in tasks.items()}


@pytest.mark.parametrize("order", ["random", "time"])
def test_roles_are_disjoint_and_support_and_query_too(data, cut, order):
    problem = cut(data, order=order)
    train, validation, test = roles(problem, data).values()
    assert (len(train), len(validation), len(test)) == (24, 8, 8)
    assert len(train | validation | test) == 40
    assert {"u40", "u41"}.isdisjoint(train | validation | test)  # too short
    for role, draws in (("validation", 2 if order == "random" else 1), ("test", 1)):
        (task, support), (same, query) = part(problem, role, "support", 5), part(problem, role, "query", 4)
        assert len(task) == 8 * draws
        np.testing.assert_array_equal(task[:, 0], same[:, 0])
        np.testing.assert_array_equal(data.user[support], task)
        np.testing.assert_array_equal(data.user[query], same)
        everything = np.concatenate([support, query], axis=1)
        assert all(len(set(row)) == 9 for row in everything.tolist())
        if order == "time":
            assert (data.time[support].max(1) <= data.time[query].min(1)).all()
            assert (np.diff(data.time[everything], axis=1) > 0).all()
            assert (data.time[support].min(1) == [data.time[data.user == user].min() for user in task[:, 0]]).all()


def test_validation_draws_of_one_user_differ(data, cut):
    _, support = part(cut(data, validation_draws=3), "validation", "support", 5)
    for user in support.reshape(8, 3, 5).tolist():
        assert len({tuple(rows) for rows in user}) == 3


def test_tasks_hold_what_the_manifest_says(data, problem):
    assert list(problem.names["user_cold"]) == [
        str(data.users.ids[t]) for t in part(problem, "test", "query", 4)[0][:, 0]
    ]
    for batch, role in ((problem.validation, "validation"), (problem.test["user_cold"], "test")):
        (_, support), (_, query) = part(problem, role, "support", 5), part(problem, role, "query", 4)
        np.testing.assert_array_equal(batch.task.support.y, data.label[support])
        np.testing.assert_array_equal(batch.label, data.label[query])
        np.testing.assert_array_equal(batch.task.query.x["id"], problem.train.entities["id"][data.item[query]])
        assert bool(batch.task.support.mask.all())
        assert bool(batch.task.query.mask.all())
    train = problem.train
    for t, user in enumerate(np.asarray(train.entity)):
        rows = slice(int(train.start[t]), int(train.start[t] + train.size[t]))
        np.testing.assert_array_equal(train.row[rows], data.item[data.user == user])
        np.testing.assert_array_equal(train.label[rows], data.label[data.user == user])


def test_time_order_trains_on_stretches_of_history(data, cut):
    shuffle = np.random.default_rng(1).permutation(len(data.user))
    names = ("user", "item", "label", "time")
    shuffled = replace(data, **{name: getattr(data, name)[shuffle] for name in names})
    problem = cut(shuffled, order="time")
    drawn = problem.draw(jax.random.key(0), problem.train, 50)
    np.testing.assert_array_equal(np.diff(drawn.position, axis=1), 1)
    when = {(u, i): t for u, i, t in zip(data.user.tolist(), data.item.tolist(), data.time.tolist(), strict=True)}
    train = problem.train
    for t, user in enumerate(np.asarray(train.entity).tolist()):
        rows = np.asarray(train.row)[int(train.start[t]) : int(train.start[t] + train.size[t])]
        assert (np.diff([when[user, item] for item in rows.tolist()]) > 0).all()


def test_hash_is_of_the_data_and_the_seed_and_not_of_the_order_of_rows(frames, data, cut):
    rows, users, items = frames
    shuffled = build((rows.sample(fraction=1, shuffle=True, seed=1), users.reverse(), items.reverse()))
    first, same, other = cut(data), cut(shuffled), cut(data, seed=1)
    assert same.split.sha256 == first.split.sha256
    assert same.split.frame.equals(first.split.frame)
    assert other.split.sha256 != first.split.sha256
    assert roles(other, data) != roles(first, data)


@pytest.mark.parametrize("changed", [{"validation_draws": 1}, {"query": 3}], ids=str)
def test_hash_is_of_validation_and_test_too(data, cut, changed):
    """Two splits that train on the same rows, and are chosen by or tested on others, are two."""
    one, other = cut(data), cut(data, **changed)
    train = [problem.split.frame.filter(role="train") for problem in (one, other)]
    assert train[0].equals(train[1])
    assert one.split.sha256 != other.split.sha256


def test_roles_and_rows_do_not_depend_on_the_order_of_users(data, cut):
    shuffle = np.random.default_rng(2).permutation(len(data.users.ids))
    features = {name: replace(c, values=c.values[shuffle]) for name, c in data.users.features.items()}
    moved = replace(
        data, users=Entities(data.users.ids[shuffle], features), user=np.argsort(shuffle)[data.user].astype(np.int32)
    )
    first, second = cut(data), cut(moved)
    assert roles(first, data) == roles(second, moved)

    def shown(problem, data):
        (task, support), (_, query) = part(problem, "test", "support", 5), part(problem, "test", "query", 4)
        ids = data.users.ids[task[:, 0]].tolist()
        return {
            user: (data.item[s].tolist(), data.item[q].tolist()) for user, s, q in zip(ids, support, query, strict=True)
        }

    assert shown(first, data) == shown(second, moved)


def test_one_user_less_moves_none_but_those_at_the_cuts(frames, data, cut):
    rows, users, items = frames
    before = roles(cut(data), data)
    gone = min(before["test"])
    less = build((rows.filter(pl.col("user") != gone), users, items))
    after = roles(cut(less), less)
    moved = {user for role in before for user in before[role] - after[role]} - {gone}
    assert len(moved) <= 2


def test_nothing_is_fitted_on_test_users(frames, data, cut):
    rows, users, items = frames
    before = cut(data)
    user = before.names["user_cold"][0]
    planted = rows.filter(pl.col("user") == user)["item"][0]
    here = (pl.col("user") == user) & (pl.col("item") == planted)
    rows = rows.with_columns(
        item=pl.when(here).then(pl.lit("z")).otherwise("item"),
        label=pl.when(pl.col("user") == user).then(1.0).otherwise("label"),
    )
    users = users.with_columns(
        age=pl.when(pl.col("id") == user).then(1e6).otherwise("age"),
        job=pl.when(pl.col("id") == user).then(pl.lit("spy")).otherwise("job"),
    )
    items = pl.concat([items, pl.DataFrame({"id": ["z"], "genre": [["opera", "crime"]], "year": [9999.0]})])
    changed = build((rows, users, items))
    after = cut(changed)
    assert after.spec == before.spec
    for name in ("entity", "start", "size", "row", "label"):
        np.testing.assert_array_equal(getattr(after.train, name), getattr(before.train, name))
    for name, values in before.train.entities.items():
        np.testing.assert_array_equal(after.train.entities[name][:-1], values)
    others = np.flatnonzero(data.users.ids != user)
    for name, values in before.train.contexts.items():
        np.testing.assert_array_equal(after.train.contexts[name][others], values[others])
    (here,) = np.flatnonzero(changed.users.ids == user)
    crime = 1  # the first in the alphabet
    assert after.train.entities["id"][-1] == 0
    assert np.asarray(after.train.entities["genre"][-1]).tolist() == [crime, 0, 0]
    assert after.train.contexts["job"][here] == 0
    assert (
        after.split.counts["user_cold_query_rows_of_unknown_items"]
        <= before.split.counts["user_cold_query_rows_of_unknown_items"] + 1
    )


def test_fitted_values_by_hand(data, problem):
    users = np.asarray(problem.train.entity)
    rows = np.isin(data.user, users)
    assert problem.spec.mean == pytest.approx(data.label[rows].mean(dtype=np.float64), rel=1e-12)
    assert problem.spec.levels == tuple(np.unique(data.label[rows]))
    ages = data.users.features["age"].values[users]
    known = ages[~np.isnan(ages)]
    expected = np.where(np.isnan(ages), 0, (ages - known.mean()) / known.std())
    np.testing.assert_allclose(problem.train.contexts["age"][users, 0], expected, rtol=1e-5)
    np.testing.assert_array_equal(problem.train.contexts["age"][users, 1], np.isnan(ages))
    assert [(f.name, f.kind, f.size) for f in problem.spec.context] == [
        ("age", "numeric", 2),
        ("job", "categorical", 4),
    ]
    seen = len(np.unique(data.item[rows]))
    assert [(f.name, f.kind, f.size) for f in problem.spec.row] == [
        ("id", "categorical", seen + 1), ("genre", "multi", 4), ("year", "numeric", 2),
    ]  # fmt: skip
    ids = np.asarray(problem.train.entities["id"])
    assert sorted(ids[np.unique(data.item[rows])].tolist()) == list(range(1, seen + 1))


def test_counts_add_up(data, problem):
    counts = problem.split.counts
    assert counts["users_dropped_by_history_filter"] == 2
    assert counts["rows_dropped_by_history_filter"] == 6
    shares = sum(counts[f"{role}_users"] for role in ("train", "validation", "user_cold"))
    assert counts["users"] == 42 == counts["users_dropped_by_history_filter"] + shares
    assert counts["rows"] == len(data.user)
    assert counts["train_rows"] == int(problem.train.size.sum()) == len(problem.train.row)
    assert counts["user_cold_query_rows"] == 32
    assert counts["rows_not_used"] == counts["rows"] - problem.split.frame["row"].n_unique()
    unknown = (np.asarray(problem.test["user_cold"].task.query.x["id"]) == 0).sum()
    assert counts["user_cold_query_rows_of_unknown_items"] == unknown


def test_leak_by_hand(data, problem):
    train = data.time[np.isin(data.user, np.asarray(problem.train.entity))]
    task, query = part(problem, "test", "query", 4)
    expected = np.mean([(train > asked).mean() for asked in data.time[query].ravel()])
    assert problem.split.leak == {"user_cold_train_rows_later_than_a_query_row": pytest.approx(expected)}
    assert len(task) == 8


def test_the_query_does_not_depend_on_the_largest_support(data, cut):
    few, many = (cut(data, shots=shots, min_history=9) for shots in ((0, 1), (0, 5)))
    np.testing.assert_array_equal(part(few, "test", "query", 4)[1], part(many, "test", "query", 4)[1])
    np.testing.assert_array_equal(part(few, "test", "support", 1)[1], part(many, "test", "support", 5)[1][:, :1])


@pytest.mark.parametrize("order", ["random", "time"])
def test_short_histories_have_short_supports_and_whole_queries(frames, cut, order):
    rows, users, items = frames
    short = rows.filter(pl.int_range(pl.len()).over("user") < pl.col("user").str.tail(2).cast(pl.Int64) % 7 + 5)
    data = build((short, users, items))
    problem = cut(data, order=order, min_history=5)
    history = np.bincount(data.user)
    batch, users = problem.test["user_cold"], problem.names["user_cold"]
    size = history[[data.users.ids.tolist().index(user) for user in users]]
    np.testing.assert_array_equal(batch.task.support.mask.sum(1), np.minimum(size - 4, 5))
    assert bool(batch.task.query.mask.all())
    drawn = problem.draw(jax.random.key(0), problem.train, 200)
    drawn_from = np.asarray(problem.train.size)[drawn.task]
    there = np.asarray(drawn.there)
    assert (drawn_from.min(), drawn_from.max()) < (9, 11)
    assert there[:, 5:].all()
    assert (there[:, :5].sum(1) <= np.minimum(drawn_from - 4, 5)).all()
    for position, exists, most in zip(np.asarray(drawn.position), there, drawn_from, strict=True):
        kept = position[exists].tolist()
        assert len(set(kept)) == len(kept)
        assert max(kept) < most
        if order == "time":
            assert max(position[:5][exists[:5]], default=-1) < min(position[5:])


def test_an_item_may_be_the_task(data, cut):
    problem = cut(data, task="item", shots=(0, 2), query=2)
    (batch,) = problem.test.values()
    assert list(problem.names) == ["item_cold"]
    assert set(problem.names["item_cold"]) <= set(data.items.ids.tolist())
    assert [field.name for field in problem.spec.context] == ["genre", "year"]
    assert [field.name for field in problem.spec.row] == ["id", "age", "job"]
    assert problem.split.counts["item_cold_items"] == len(batch.label)
    _, query = part(problem, "test", "query", 2)
    np.testing.assert_array_equal(batch.label, data.label[query])
    assert (data.item[query] == data.item[query][:, :1]).all()


def test_liked_labels(data, cut, problem):
    liked = cut(data, labels="liked")
    np.testing.assert_array_equal(liked.train.label, np.asarray(problem.train.label) >= 4)
    assert (liked.spec.low, liked.spec.high, liked.spec.like, liked.spec.levels) == (0, 1, 1, (0, 1))


def test_a_share_of_the_meta_train_users_is_part_of_a_larger_one(data, cut, problem):
    """Tests and validation stay as they are; nothing is fitted to who is left out."""
    half, quarter = cut(data, train=0.5), cut(data, train=0.25)
    users = [set(np.asarray(each.train.entity).tolist()) for each in (problem, half, quarter)]
    assert users[2] < users[1] < users[0]
    assert [len(each) for each in users] == [24, 12, 6]
    assert half.split.counts["users_left_out_of_training"] == 12
    assert problem.test["user_cold"].task.query.x.keys() == half.test["user_cold"].task.query.x.keys()
    np.testing.assert_array_equal(problem.test["user_cold"].label, half.test["user_cold"].label)
    np.testing.assert_array_equal(problem.validation.label, half.validation.label)
    assert half.spec.mean == pytest.approx(np.asarray(half.train.label).mean())


def test_all_support_sizes_are_those_up_to_the_largest(data, cut):
    every, listed = cut(data, train_shots="all"), cut(data, train_shots=(1, 2, 3, 4, 5))
    draws = [each.draw(jax.random.key(0), each.train, 50) for each in (every, listed)]
    jax.tree.map(np.testing.assert_array_equal, *draws)


def test_history_limits(data, cut):
    history = np.bincount(data.user)
    problem = cut(data, min_history=13, max_history=15)
    assert problem.split.counts["users_dropped_by_history_filter"] == ((history < 13) | (history > 15)).sum()
    assert set(np.asarray(problem.train.size).tolist()) <= {13, 14, 15}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"headline": 2}, "protocol.episodes.headline=2"),
        ({"train_shots": (6,)}, "protocol.episodes.train_shots"),
        ({"train_query": 3}, "protocol.episodes.train_query"),
        ({"min_history": 4}, "must be above protocol.episodes.query=4"),
        ({"max_history": 5}, "protocol.episodes.max_history=5"),
        ({"shots": (0, 13)}, "0 of 42 users"),
        ({"test": 0.01}, "leaves 0 tasks for user_cold"),
        ({"test": 0.6, "validation": 0.39}, "leaves 0 tasks for meta-train"),
        ({"test": 0.6, "validation": 0.4}, "leave none"),
    ],
)
def test_refuses(data, cut, settings, message):
    with pytest.raises(UserError, match=message):
        cut(data, **settings)


def test_refuses_time_order_without_time(data, cut):
    with pytest.raises(UserError, match="no time column"):
        cut(replace(data, time=None), order="time")


def test_completeness_is_the_share_of_features_that_are_known(data, cut, problem):
    """Every seventh user has no age; where nobody has features there is nothing to be complete."""
    found = dict(zip(problem.names["user_cold"], problem.about["user_cold"]["completeness"], strict=True))
    assert found == {name: 0.5 if int(name[1:]) % 7 == 0 else 1.0 for name in found}
    assert set(found.values()) == {0.5, 1.0}
    bare = cut(replace(data, users=Entities(data.users.ids)))
    assert "completeness" not in bare.about["user_cold"]


def test_a_value_that_training_has_not_seen_is_not_known():
    fields = (Field("id", "categorical", 2), Field("job", "categorical", 3), Field("tags", "multi", 3))
    values = {"id": np.array([1, 0, 0]), "job": np.array([2, 0, 1]), "tags": np.array([[0, 0], [0, 0], [2, 0]])}
    assert completeness(fields, values).tolist() == [0.5, 0.0, 1.0]


def test_weights_stand_beside_the_query_labels(data, cut):
    """Of every batch, drawn or fixed: each query row's own, found by its label."""
    weight = (10 * data.label + 1).astype(np.float32)
    weighted, plain = cut(replace(data, weight=weight)), cut(data)
    drawn = weighted.gather(weighted.train, weighted.draw(jax.random.key(0), weighted.train, 5))
    for batch in (drawn, weighted.validation, *weighted.test.values()):
        mask = np.asarray(batch.task.query.mask)
        np.testing.assert_array_equal(np.asarray(batch.weight)[mask], 10 * np.asarray(batch.label)[mask] + 1)
    assert plain.validation.weight is None
    assert plain.gather(plain.train, plain.draw(jax.random.key(0), plain.train, 5)).weight is None
