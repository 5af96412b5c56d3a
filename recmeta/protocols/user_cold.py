"""user_cold: the test users have never been seen; a few of their ratings are the support, ten later ones the query."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from functools import partial
from typing import Annotated, Literal

import jax.numpy as jnp
import numpy as np
import polars as pl
from annotated_types import Ge, Gt, Lt, MinLen

from recmeta.protocols import features, sampling
from recmeta.types import DataSpec, Interactions, Problem, Split, Tasks, UserError

Share = Annotated[float, Gt(0), Lt(1)]
Count = Annotated[int, Ge(1)]


def user_cold(
    interactions: Interactions,
    *,
    seed: int,
    order: Literal["random", "time"],
    shots: Annotated[tuple[Annotated[int, Ge(0)], ...], MinLen(1)],
    train_shots: Annotated[tuple[Count, ...], MinLen(1)] | None,
    query: Count,
    headline: Annotated[int, Ge(0)] | None,
    min_history: Count | None,
    max_history: Count | None,
    test: Share,
    validation: Share,
    validation_draws: Count,
    labels: Literal["rating", "liked"],
) -> Problem:
    """Split users into meta-train, meta-validation and meta-test, and fit on meta-train all that is fitted.

    Users are ranked by a hash of their raw id and ``seed``, and the rank decides the role, so that another order of the
    data, or a few users more, move at most the few at the cuts. Which rows are a test user's support and query depends
    on that user and ``seed`` only. Every task presents its user as a new one, in training as in test: a
    user's id is never an input, its features are.

    Args:
        interactions: the clean data set.
        seed: of the split.
        order: "random": support and query are drawn from anywhere in a user's history. "time": the first rows are
            the support, the next ones the query (in training: from a random point of the history on).
        shots: support sizes to evaluate at; supports are nested, the query is the same for all.
        train_shots: support sizes to train at, one drawn per visit; None for all of ``shots`` above 0.
        query: rows per query.
        headline: the support size that summaries are at; None for the largest.
        min_history, max_history: users with fewer or more rows are left out, and counted. None: as few as the largest
            support and the query need; no upper limit.
        test, validation: shares of the users left.
        validation_draws: supports and queries per meta-validation user (in time order there is one).
        labels: "rating" as they are, or "liked": 1 where the label is at least the data set's ``like``, else 0.

    Raises:
        UserError: where no split is possible: too few users, no time to order by, a history too short.
    """
    support = max(max(shots), 1)
    need = support + query
    least = need if min_history is None else min_history
    headline = max(shots) if headline is None else headline
    train_shots = tuple(k for k in shots if k > 0) or (support,) if train_shots is None else train_shots
    _check(interactions, order, shots, headline, train_shots, support, need, least, max_history)
    if labels == "liked":
        liked = (interactions.label >= interactions.like).astype(np.float32)
        interactions = replace(interactions, label=liked, label_range=(0.0, 1.0), like=1.0)

    history = np.bincount(interactions.user, minlength=len(interactions.users.ids))
    eligible = np.flatnonzero((history >= least) & (history <= (max_history or np.inf)))
    roles = _roles(interactions, eligible, seed, test, validation)
    ordered = np.lexsort((interactions.item, _times(interactions), interactions.user))
    start = np.concatenate([[0], np.cumsum(history)])
    fixed = partial(_fixed, interactions, start, seed=seed, order=order, need=need)
    draws = validation_draws if order == "random" else 1
    positions = {"validation": fixed(roles["validation"], draws=draws), "test": fixed(roles["test"], draws=1)}

    spec, contexts, entities = _fit(interactions, roles["train"], support, query)
    tables = {"contexts": _device(contexts), "entities": _device(entities)}
    tasks = partial(_tasks, interactions, ordered, start, tables)
    gather = partial(sampling.gather, support=support)

    def batch(role: str):
        users, position = positions[role]
        everything = jnp.full(len(users), support)
        drawn = sampling.Draw(jnp.arange(len(users)), jnp.asarray(position), everything)
        return gather(tasks(users), drawn)

    split = _manifest(interactions, ordered, start, history, roles, positions, support, eligible, entities["id"])
    draw = partial(sampling.draw, order=order, support=support, query=query, shots=train_shots)
    names = {"user_cold": [str(interactions.users.ids[user]) for user in positions["test"][0]]}
    return Problem(
        spec, split, tasks(roles["train"]), draw, gather, batch("validation"), {"user_cold": batch("test")}, names,
        tuple(sorted(set(shots))), headline,
    )  # fmt: skip


def _check(data, order, shots, headline, train_shots, support, need, least, most):
    if order == "time" and data.time is None:
        raise UserError(
            f"protocol.order=time: {data.name} has no time column; use protocol.order=random, or name the column "
            "(dataset.columns.time=...)"
        )
    if headline not in shots:
        raise UserError(f"protocol.headline={headline} is not one of protocol.shots={list(shots)}")
    if max(train_shots) > support:
        raise UserError(
            f"protocol.train_shots={list(train_shots)}: none may be above the largest of protocol.shots, {support}"
        )
    if least < need:
        raise UserError(
            f"protocol.min_history={least}: a task needs {need} rows, the largest of protocol.shots plus protocol.query"
        )
    if most is not None and most < least:
        raise UserError(f"protocol.max_history={most} is below protocol.min_history={least}: no user can be left")


def _roles(data: Interactions, eligible: np.ndarray, seed: int, test: float, validation: float):
    """Order users by a hash of their raw id and the seed; cut off meta-test, then meta-validation, then meta-train."""
    rank = sorted(eligible, key=lambda user: _digest(seed, "role", data.users.ids[user]))
    n_test, n_validation = round(test * len(rank)), round(validation * len(rank))
    if min(n_test, n_validation, len(rank) - n_test - n_validation) < 2:
        raise UserError(
            f"{data.name}: {len(rank)} of {len(data.users.ids)} users pass the history filter, too few to give "
            f"protocol.test={test} and protocol.validation={validation} at least 2 users each; lower protocol.shots, "
            "protocol.query or protocol.min_history"
        )
    cuts = np.split(np.array(rank), [n_test, n_test + n_validation])
    return dict(zip(("test", "validation", "train"), map(np.sort, cuts), strict=True))


def _digest(*parts) -> bytes:
    return hashlib.sha256("\x1f".join(map(str, parts)).encode()).digest()


def _times(data: Interactions) -> np.ndarray:
    return np.zeros(len(data.user), np.int64) if data.time is None else data.time


def _fixed(data: Interactions, start, users, *, seed: int, order: str, need: int, draws: int):
    """Positions of support and query rows in each user's history, fixed by the user's raw id and the seed."""
    users = np.repeat(users, draws)
    if order == "time":
        return users, np.tile(np.arange(need), (len(users), 1))
    rows = []
    for place, user in enumerate(users):
        entropy = int.from_bytes(_digest(seed, "rows", place % draws, data.users.ids[user])[:8], "little")
        rows.append(np.random.default_rng(entropy).permutation(start[user + 1] - start[user])[:need])
    return users, np.stack(rows)


def _fit(data: Interactions, train: np.ndarray, support: int, query: int):
    """Everything that is fitted: vocabularies, scalers, the mean. On meta-train users and the items they rated."""
    users = np.zeros(len(data.users.ids), bool)
    users[train] = True
    rows = users[data.user]
    items = np.zeros(len(data.items.ids), bool)
    items[data.item[rows]] = True
    context_fields, contexts = features.encode_features(data.users, users)
    id_field, ids = features.encode_ids(items)
    row_fields, entities = features.encode_features(data.items, items)
    labels = data.label[rows]
    levels = np.unique(labels)
    if len(levels) > 20:
        levels = np.linspace(*data.label_range, 5)
    spec = DataSpec(
        context_fields, id_field + row_fields, *data.label_range, float(labels.mean(dtype=np.float64)), data.like,
        tuple(map(float, levels)), support, query,
    )  # fmt: skip
    return spec, contexts, ids | entities


def _device(tables):
    return {name: jnp.asarray(values) for name, values in tables.items()}


def _histories(start: np.ndarray, users: np.ndarray) -> np.ndarray:
    """The places of some users' rows, user by user."""
    bounds = start.tolist()
    return np.concatenate([np.arange(bounds[user], bounds[user + 1]) for user in users])


def _tasks(data: Interactions, ordered: np.ndarray, start: np.ndarray, tables, users: np.ndarray) -> Tasks:
    """The whole histories of some users, end to end."""
    count = start[users + 1] - start[users]
    first = np.concatenate([[0], np.cumsum(count)[:-1]])
    rows = ordered[_histories(start, users)]
    entity, first, size, row = (jnp.asarray(values, jnp.int32) for values in (users, first, count, data.item[rows]))
    return Tasks(entity, first, size, row, jnp.asarray(data.label[rows]), **tables)


def _manifest(data, ordered, start, history, roles, positions, support, eligible, item_codes) -> Split:
    """Who is trained on and who is tested on, row by row; hashed, counted, and audited for time."""
    train_rows = np.sort(ordered[_histories(start, roles["train"])])
    frames = [_frame("train", data.user[train_rows], train_rows, "pool", 0)]
    for role, (users, position) in positions.items():
        rows = ordered[start[users][:, None] + position]
        for part, columns in (("support", slice(support)), ("query", slice(support, None))):
            place = np.arange(rows.shape[1])[columns]
            task = np.repeat(users, len(place))
            frames.append(_frame(role, task, rows[:, columns].ravel(), part, np.tile(place, len(users))))
    frame = pl.concat(frames)
    digest = hashlib.sha256(data.sha256.encode())
    for column in frame.columns:
        values = frame[column]
        digest.update("\n".join(values).encode() if values.dtype == pl.String else values.to_numpy().tobytes())
    test_rows = frame.filter((pl.col("role") == "test") & (pl.col("part") == "query"))["row"].to_numpy()
    counts = {
        "users": len(data.users.ids),
        "users_dropped_by_history_filter": len(data.users.ids) - len(eligible),
        "rows": len(data.user),
        "rows_dropped_by_history_filter": int(history.sum() - history[eligible].sum()),
        **{f"{role}_users": len(roles[role]) for role in ("train", "validation", "test")},
        "train_rows": len(train_rows),
        "test_query_rows": len(test_rows),
        "test_query_rows_of_unknown_items": int((item_codes[data.item[test_rows]] == 0).sum()),
    }
    return Split(frame, digest.hexdigest(), counts, _leak(data, train_rows, positions["test"], ordered, start))


def _frame(role: str, task: np.ndarray, row: np.ndarray, part: str, position) -> pl.DataFrame:
    integers = {"task": task, "row": row, "position": np.broadcast_to(position, task.shape)}
    return pl.DataFrame({name: values.astype(np.int64) for name, values in integers.items()}).with_columns(
        scenario=pl.lit("user_cold"), role=pl.lit(role), part=pl.lit(part)
    )


def _leak(data, train_rows, test, ordered, start) -> dict[str, float]:
    """The share of meta-train rows that are later than the last row of the test task they help to predict."""
    if data.time is None:
        return {}
    users, position = test
    last = data.time[ordered[start[users][:, None] + position]].max(axis=1)
    times = np.sort(data.time[train_rows])
    later = 1 - np.searchsorted(times, last, side="right") / len(times)
    return {"train_rows_later_than_test_task": float(later.mean())}
