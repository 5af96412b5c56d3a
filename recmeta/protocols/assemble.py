"""A protocol's plan to a `Problem`: everything that is fitted, the device's arrays, the manifest and its audit."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace
from functools import cache, partial

import jax
import numpy as np
import polars as pl
from jaxtyping import Bool, Float, Int

from recmeta.features import fitting
from recmeta.features.transform import make_transform
from recmeta.protocols import sampling
from recmeta.protocols.background import make_background
from recmeta.protocols.candidates import QUERY_ROWS, CandidateRule, make_candidates
from recmeta.protocols.episodes import EpisodePlan, NegativeSampling
from recmeta.protocols.negatives import catalogue
from recmeta.protocols.plan import Histories, Picks, Plan
from recmeta.protocols.ties import tie_note
from recmeta.types import (
    ENTITY,
    Batch,
    Candidates,
    DataSpec,
    Interactions,
    Problem,
    Query,
    Split,
    Support,
    Task,
    Tasks,
)  # fmt: skip

MANY_LEVELS = 20
"""More distinct labels than this are taken for a continuum."""


def assemble(
    data: Interactions,
    plan: Plan,
    episodes: EpisodePlan,
    *,
    who: str = "users",
    known: bool = False,
    candidates: CandidateRule = QUERY_ROWS,
    seed: int = 0,
) -> Problem:
    """Make a problem of a plan.

    Args:
        data: the data set, the task's entities on the users' side.
        plan: who is trained and tested on.
        episodes: how rows become supports and queries.
        who: what the entities are called in counts.
        known: whether an entity's own id is an input; of one that meta-train has not seen it is unknown. Where not,
            every task presents its entity as a new one.
        candidates, seed: what a query row is ranked among; see `recmeta.protocols.candidates`.
    """
    width = max(episodes.train_query, *(picks.query.shape[1] for picks in plan.test.values()))
    spec, tables, transform, notes = _fit(data, plan.train.row, episodes, width, known)
    # What else decides which numbers may stand in one table; the manifest is of rows alone.
    rules = f"{data.label_range} {known} {candidates.kind} {candidates.number}"
    split = _manifest(data, plan, who, tables["entities"]["id"], rules)
    parted = {name: (picks.support, picks.query) for name, picks in plan.test.items()}
    ties = [tie_note(data, parted)] if episodes.order == "time" else []
    split = replace(split, notes=[*notes, *ties, *_candidate_note(data, candidates)])
    batch = partial(_batch, data, tables)
    tested = {"validation": plan.validation, **plan.test}
    known_share = fitting.completeness(spec.context, tables["contexts"])

    def ranked(picks: Picks) -> Candidates:
        return make_candidates(data, plan.train, picks, candidates, seed=seed)

    shapes = {"support": episodes.support, "query": episodes.train_query, "least": episodes.settings.query}
    negatives = episodes.settings.negatives
    return Problem(
        spec=spec,
        split=split,
        train=_tasks(data, plan.train, tables, negatives),
        draw=partial(
            sampling.draw, order=episodes.order, shots=episodes.train_shots, negatives=negatives.number, **shapes
        ),
        gather=partial(sampling.gather, support=episodes.support),
        validation=batch(plan.validation),
        test={scenario: batch(picks) for scenario, picks in plan.test.items()},
        names={scenario: data.users.ids[picks.entity].astype(str).tolist() for scenario, picks in plan.test.items()},
        shots=episodes.shots,
        headline=episodes.headline,
        about={scenario: _about(data, plan.train, picks, known_share) for scenario, picks in plan.test.items()},
        candidates={} if candidates.kind == "query" else {name: ranked(picks) for name, picks in tested.items()},
        background=cache(partial(make_background, data, plan.train, tables["entities"]["id"])),
        transform=transform,
    )


def _seen(data: Interactions, rows: Int[np.ndarray, "m"]) -> tuple[Bool[np.ndarray, "U"], Bool[np.ndarray, "I"]]:
    """Which users and which items the meta-train rows are about."""
    users, items = (np.zeros(len(side.ids), bool) for side in (data.users, data.items))
    users[data.user[rows]] = True
    items[data.item[rows]] = True
    return users, items


def _fit(data: Interactions, rows: Int[np.ndarray, "m"], episodes: EpisodePlan, query: int, known: bool):
    """Fit vocabularies, scales and the mean: on meta-train rows, and on features of their users and items."""
    users, items = _seen(data, rows)
    context, contexts, user_notes = fitting.fit(data.users, users, ids=known)
    row, entities, item_notes = fitting.fit(data.items, items, ids=True)
    labels = data.label[rows]
    levels, counts = np.unique(labels, return_counts=True)
    few = len(levels) <= MANY_LEVELS
    if not few:
        levels = np.linspace(*data.label_range, 5)
    spec = DataSpec(
        context=fitting.fields(context),
        row=fitting.fields(row),
        low=data.label_range[0],
        high=data.label_range[1],
        mean=float(labels.mean(dtype=np.float64)),
        # As single precision has it, which labels are in: "at least 3.3" must hold of a label of 3.3.
        like=float(np.float32(data.like)),
        levels=tuple(map(float, levels)),
        support=episodes.support,
        query=query,
        rows=len(rows),
        discrete=few,
        shares=tuple(map(float, counts / len(labels))) if few else (),
    )
    numbered = {ENTITY: np.arange(len(data.users.ids), dtype=np.int32)}
    tables = {"contexts": contexts | numbered, "entities": entities}
    return spec, tables, make_transform(context, row), user_notes + item_notes


# What follows is made on the host and then moved: on the device, each gather would be a program of its own to compile.


def _tasks(
    data: Interactions, train: Histories, tables: Mapping[str, Mapping[str, np.ndarray]], negatives: NegativeSampling
) -> Tasks:
    """The meta-train tasks."""
    origin = 0 if data.time is None else data.time.min()
    integers = (train.entity, train.start[:-1], train.size, data.item[train.row])
    time = None if data.time is None else (data.time - origin)[train.row].astype(np.int32)
    entity, start, size, row = (values.astype(np.int32) for values in integers)
    weight = None if data.weight is None else data.weight[train.row]
    drawn_from = catalogue(data, train, negatives, origin)
    fields = (
        entity, start, size, row, data.label[train.row], tables["contexts"], tables["entities"], time, weight,
        drawn_from,
    )  # fmt: skip
    return Tasks(*jax.device_put(fields))


def _batch(data: Interactions, tables: Mapping[str, Mapping[str, np.ndarray]], picks: Picks) -> Batch:
    """Tasks with fixed supports and queries."""

    def side(rows: Int[np.ndarray, "T m"]):
        x = {name: values[data.item[rows]] for name, values in tables["entities"].items()}
        return jax.device_put((x, np.where(rows >= 0, data.label[rows], 0), rows >= 0))

    context = jax.device_put({name: values[picks.entity] for name, values in tables["contexts"].items()})
    x, label, there = side(picks.query)
    weight = None if data.weight is None else jax.device_put(np.where(picks.query >= 0, data.weight[picks.query], 0))
    return Batch(Task(context, Support(*side(picks.support)), Query(x, there)), label, weight=weight)


def _about(
    data: Interactions, train: Histories, picks: Picks, complete: Float[np.ndarray, "U"] | None
) -> dict[str, np.ndarray]:
    """Compute facts about each test task.

    How long its history is, how often its query is rated, how much of it is new; and how much is known of its entity,
    where there are features to know.
    """
    history = np.bincount(data.user, minlength=len(data.users.ids))
    rated = np.bincount(data.item[train.row], minlength=len(data.items.ids))
    there = picks.query >= 0
    counts = np.where(there, rated[data.item[picks.query]], 0)
    asked = there.sum(axis=1)
    return {
        "activity": history[picks.entity],
        "popularity": counts.sum(axis=1) / asked,
        "new_items": (there & (counts == 0)).sum(axis=1) / asked,
        **({} if complete is None else {"completeness": complete[picks.entity]}),
    }


# --- the manifest -------------------------------------------------------------------------------------------------

_ROLE, _PART = pl.Enum(["train", "validation", "test"]), pl.Enum(["pool", "support", "query"])


def _candidate_note(data: Interactions, candidates: CandidateRule) -> list[str]:
    """Note that ranks among a sample are not ranks among all, and how they are related."""
    if candidates.kind != "sampled":
        return []
    many = len(data.items.ids)
    return [
        f"candidates: {candidates.number} of {many:,}, drawn for each task: a rank r among them is about "
        f"1 + (r - 1) x {(many - 1) / (candidates.number or 1):.1f} among all, and methods may come in another order"
    ]


def _manifest(data: Interactions, plan: Plan, who: str, item_codes: Int[np.ndarray, "I"], rules: str) -> Split:
    """Row by row, hashed, counted, and audited for time."""
    # The names of scenarios are told by the test tasks alone: training and validation are the same for all.
    scenario = pl.Enum(["", *plan.test])
    train = plan.train
    frames = [_frame("", "train", np.repeat(train.entity, train.size), train.row[:, None], "pool", scenario)]
    tested = [("", "validation", plan.validation), *((name, "test", picks) for name, picks in plan.test.items())]
    for name, role, picks in tested:
        for part, rows in (("support", picks.support), ("query", picks.query)):
            frames.append(_frame(name, role, picks.entity, rows, part, scenario))
    frame = pl.concat(frames)
    digest = hashlib.sha256(f"{data.sha256} {who} {list(plan.test)} {rules}".encode())
    for column in frame.columns:
        digest.update(frame[column].to_physical().to_numpy().astype(np.int64).tobytes())
    used = np.zeros(len(data.user), bool)
    used[frame["row"].to_numpy()] = True
    counts = {
        who: len(data.users.ids),
        "rows": len(data.user),
        **plan.counts,
        "rows_not_used": int((~used).sum()),
        f"train_{who}": len(train.entity),
        "train_rows": len(train.row),
        f"validation_{who}": len(np.unique(plan.validation.entity)),
    }
    for name, picks in plan.test.items():
        rows = picks.query[picks.query >= 0]
        unknown = int((item_codes[data.item[rows]] == 0).sum())
        counts |= {f"{name}_{who}": len(picks.entity), **_of_roles(plan, name, who), f"{name}_query_rows": len(rows)}
        counts[f"{name}_query_rows_of_unknown_{'items' if who == 'users' else 'users'}"] = unknown
    return Split(
        frame.with_columns(pl.col("scenario", "role", "part").cast(pl.String)),
        digest.hexdigest(),
        counts,
        _leak(data, plan),
    )


def _of_roles(plan: Plan, scenario: str, who: str) -> dict[str, int]:
    """Count the tasks of a scenario by where their users are besides: meta-train, meta-validation, or neither."""
    tested = plan.test[scenario].entity
    trained, validated = (np.isin(tested, there.entity) for there in (plan.train, plan.validation))
    return {
        f"{scenario}_{who}_trained_on": int(trained.sum()),
        f"{scenario}_{who}_of_meta_validation": int((validated & ~trained).sum()),
        f"{scenario}_{who}_of_neither": int((~validated & ~trained).sum()),
    }


def _frame(scenario: str, role: str, entity, rows: Int[np.ndarray, "T m"], part: str, scenarios: pl.Enum):
    task, position = (np.broadcast_to(values, rows.shape).ravel() for values in (entity[:, None], range(rows.shape[1])))
    row = rows.ravel()
    there = row >= 0
    integers = {"task": task[there], "row": row[there], "position": position[there]}
    return pl.DataFrame({name: values.astype(np.int64) for name, values in integers.items()}).select(
        pl.lit(scenario, scenarios).alias("scenario"), pl.lit(role, _ROLE).alias("role"), "task", "row",
        pl.lit(part, _PART).alias("part"), "position",
    )  # fmt: skip


def _leak(data: Interactions, plan: Plan) -> dict[str, float]:
    """Per scenario, the share of meta-train rows that are later than the query row that they help to predict."""
    if data.time is None:
        return {}
    known = np.sort(data.time[plan.train.row])
    found = {}
    for scenario, picks in plan.test.items():
        asked = data.time[picks.query[picks.query >= 0]]
        later = 1 - np.searchsorted(known, asked, side="right") / len(known)
        found[f"{scenario}_train_rows_later_than_a_query_row"] = float(later.mean())
    return found
