"""Rules between components: combinations that cannot work are refused here, once the data are known."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import PRNGKeyArray

from recmeta.config.parts import NO_CHOICE, Parts
from recmeta.evaluation.score import bounds
from recmeta.features.kinds import arrays_of, names
from recmeta.metrics import check, check_cutoff, check_floor
from recmeta.runs.files import one_line
from recmeta.types import Augmentation, Batch, Learner, Objective, Params, Preparation, Problem, Tasks, UserError


def check_problem(parts: Parts, problem: Problem, objective: Objective) -> None:
    """Check the rules between components that need the data.

    Raises:
        UserError: for a combination that cannot work.
    """
    spec = problem.spec
    if objective.binary and not set(spec.levels) <= {0.0, 1.0}:
        raise UserError(
            f"objective: this one needs labels of 0 and 1, and there are labels from {spec.low:g} to {spec.high:g}; "
            "set protocol.labels=liked, or objective=mse"
        )
    if not objective.rates and parts.learner is not None and parts.metric.reads == "prediction":
        ranking = [metric.name for metric in parts.metrics if metric.reads == "score" and not metric.shows]
        raise UserError(
            f"metric={parts.metric.name}: it reads ratings, and with this objective scores only rank; choose by "
            + (f"one of {', '.join(ranking)}" if ranking else "a ranking, as metrics=[ndcg@5] metric=ndcg@5")
        )
    _check_labels(parts, problem, objective)
    few = bool(np.isin(np.asarray(problem.train.label), np.asarray(spec.levels, np.float32)).all())
    for metric in parts.metrics:
        check(metric, spec.low, spec.high, few=few)
    if parts.metric.name.startswith("legacy."):
        raise UserError(
            f"metric={parts.metric.name}: a published mistake is no metric to choose by; it may be reported"
        )
    if parts.metric.shows:
        raise UserError(NO_CHOICE.format(parts.metric.name))
    _check_shown(parts, problem)
    _check_room(parts, problem)


def _check_labels(parts: Parts, problem: Problem, objective: Objective) -> None:
    """Refuse errors of predictions, and losses of them, where every label that is trained on is the same.

    A constant then errs by nothing, and says nothing.

    Raises:
        UserError: so.
    """
    labels = np.unique(np.asarray(problem.train.label))
    if len(labels) > 1:
        return
    every = f"every label that is trained on is {labels[0]:g}"
    for metric in parts.metrics:
        if metric.reads == "prediction":
            raise UserError(
                f"metrics={metric.name}: {every}, and a constant errs by nothing; draw what was not liked "
                "(cleaning=implicit), or rank a catalogue (protocol.candidates.kind=full, metrics=[recall@10], "
                "metric=recall@10)"
            )
    if parts.learner is not None and objective.rates and not objective.negatives:
        raise UserError(
            f"objective: {every}, and a constant has no loss; draw what was not liked (cleaning=implicit), choose an "
            "objective that contrasts with drawn negatives, or learner=none"
        )


def check_text(preparation: Any) -> Preparation:
    """Refuse a choice of text that returns no preparation.

    Raises:
        UserError: so.
    """
    if not isinstance(preparation, Preparation):
        raise UserError(f"text: its target must return a Preparation, and returned a {type(preparation).__name__}")
    return preparation


def check_objective(objective: Any) -> None:
    """Refuse a part that is no objective, and a loss that does not take all that a loss is given.

    Raises:
        UserError: so.
    """
    if not isinstance(objective, Objective):
        raise UserError(f"objective: its target must return an Objective, and returned a {type(objective).__name__}")
    keywords = {"weights": None, "key": None, **({"negatives": None} if objective.negatives else {})}
    try:
        inspect.signature(objective.loss).bind(None, None, None, **keywords)
    except TypeError as error:
        wanted = ", ".join(f"{name}=None" for name in keywords)
        raise UserError(f"objective: its loss must take (scores, labels, where, {wanted}): {error}") from error


def check_augmentation(augmentation: Augmentation, problem: Problem) -> None:
    """Refuse an augmentation that does not give back a batch of the same shapes and dtypes.

    Raises:
        UserError: so.
    """
    batch = _visited(problem)
    try:
        changed = jax.eval_shape(augmentation, jax.random.key(0), batch)
    except (TypeError, ValueError, AttributeError, KeyError) as error:
        raise UserError(f"augmentation: it can't be applied to a batch: {one_line(error)}") from error
    if changed != batch:
        raise UserError("augmentation: it must return a batch of the shapes and dtypes that it is given")


def check_adaptation(learner: Learner, shapes: Params, problem: Problem) -> None:
    """Refuse a learner that cannot adapt the model, as to a part that the model lacks; nothing is computed.

    Args:
        learner: the run's.
        shapes: of its parameters.
        problem: whose tasks it adapts to.

    Raises:
        UserError: naming the setting.
    """
    task = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape[1:], leaf.dtype), problem.validation.task)
    jax.eval_shape(learner.adapt, shapes, task.context, task.support)


def check_batch(
    make: Callable[[Objective], Learner], objective: Objective, problem: Problem, shapes: Params
) -> list[str]:
    """Check that negatives and row weights, where there are some, reach the loss of the learner.

    What is passed to the loss is recorded while the training step is traced; nothing is computed.

    Args:
        make: makes the learner with another objective.
        objective: the run's.
        problem: whose batches it trains on.
        shapes: of the learner's parameters.

    Returns:
        Messages: what of a batch has no part in the learner.

    Raises:
        UserError: where the objective contrasts with negatives, and none are drawn or the learner passes none on.
    """
    batch = _visited(problem)
    if objective.negatives and batch.negatives is None:
        raise UserError(
            "objective: this one contrasts what was rated with rows that were not; draw some, as with "
            "protocol.episodes.negatives=16"
        )
    lines = []
    if batch.negatives is not None and not objective.negatives:
        lines.append("negatives have no part in this objective: drawing them changes nothing")
    if not objective.negatives and batch.weight is None:
        return lines
    passed: set[str] = set()

    def loss(*rows: Any, **keywords: Any) -> Any:
        passed.update(name for name, value in keywords.items() if value is not None)
        return objective.loss(*rows, **keywords)

    learner = make(objective._replace(loss=loss))
    jax.eval_shape(learner.meta_grad, shapes, batch, jax.random.key(0))
    if objective.negatives and "negatives" not in passed:
        raise UserError(
            "learner: this one passes no negatives to the loss, and the objective contrasts with them; choose one that "
            "is trained by the loss of query rows, as maml, or another objective"
        )
    if batch.weight is not None and not _reads_weights(learner, shapes, batch):
        lines.append("row weights have no part in this learner: they change nothing")
    return lines


def _reads_weights(learner: Learner, shapes: Params, batch: Batch) -> bool:
    """Whether the program of a learner's gradient takes the row weights; a loss of its own may."""
    program = jax.make_jaxpr(learner.meta_grad)(shapes, batch, jax.random.key(0)).jaxpr
    paths = jax.tree_util.tree_flatten_with_path((shapes, batch, jax.random.key(0)))[0]
    places = [place for place, (path, _) in enumerate(paths) if jax.tree_util.keystr(path).startswith("[1].weight")]
    taken = {id(value) for step in program.eqns for value in step.invars}
    return any(id(program.invars[place]) in taken for place in places)


def _visited(problem: Problem) -> Batch:
    """The shapes of a batch of two tasks, as training draws it."""

    def visit(key: PRNGKeyArray, tasks: Tasks) -> Batch:
        batch = problem.gather(tasks, problem.draw(key, tasks, 2))
        return batch._replace(progress=jnp.asarray(0.0))

    return jax.eval_shape(visit, jax.random.key(0), problem.train)


def _check_shown(parts: Parts, problem: Problem) -> None:
    """Refuse metrics of recommended items without a catalogue, or without features to compare items by."""
    catalogued = [metric for metric in parts.metrics if metric.shows]
    if (asked := [*catalogued, *parts.aggregates]) and not problem.candidates:
        raise UserError(
            f"metrics={asked[0].name}: it asks what is shown of a catalogue, and a task's query rows are none; set "
            "protocol.candidates.kind=full"
        )
    for metric in catalogued:
        compared = [field for field in problem.spec.row if field.name != "id" and arrays_of(field).vectors]
        if metric.shows == "vectors" and not compared:
            kinds = " or ".join(names(lambda kind: kind.arrays is not None and kind.arrays.vectors is not None))
            raise UserError(
                f"metrics={metric.name}: it compares items by their {kinds} features, and there are none; give the "
                "data set some, or leave it out"
            )


def _check_room(parts: Parts, problem: Problem) -> None:
    """Refuse rankings that chance saturates, and a choice by a metric that is undefined."""
    batch, candidates = problem.validation, problem.candidates.get("validation")
    ranking = [metric for metric in parts.metrics if metric.reads == "score"]
    room = bounds(ranking, problem.spec, batch, candidates)
    number = batch.task.query.mask.sum(1) if candidates is None else candidates.allowed.sum(1)
    for metric in (*ranking, *parts.aggregates):
        check_cutoff(metric, np.asarray(number))
    for metric in ranking:
        check_floor(metric, np.asarray(room[metric.name].floor))
    # A metric that reads predictions is defined wherever there is a row. Baselines are tuned by it too.
    if parts.metric.reads == "score" and bool(jnp.isnan(room[parts.metric.name].floor).all()):
        raise UserError(
            f"metric={parts.metric.name} is undefined for every meta-validation task: each one's query rows are all "
            f"liked (from {problem.spec.like:g} on) or all not; choose by another metric, or set dataset.like"
        )


def unused_parts(shapes: Params) -> list[str]:
    """The groups whose component the learner makes no use of, by the parameters that it has."""
    return [group for group in ("encoder", "scorer") if group not in shapes]
