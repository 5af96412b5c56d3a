"""Cross-fitting: fit to all of meta-train, and to all but each fold of its tasks.

What is fitted to a task's own labels has them in it: a learner that trains on that task with such vectors learns to
read the labels out of them, and finds none at test. So a meta-train task reads what was fitted without its fold, and
every other task what was fitted to all.

Reference: Chernozhukov et al., Double/debiased machine learning for treatment and structural parameters, The
Econometrics Journal 2018, definition 3.1.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int, PyTree

from recmeta.fitted.rows import owners
from recmeta.fitted.threads import side_by_side
from recmeta.types import ENTITY, Features, Problem, UserError


class CrossFitted(NamedTuple):
    """A fit to all meta-train tasks, and one without each fold.

    Attributes:
        fits: with a leading axis ``1 + F``: the first is of all tasks.
        fold: of each entity, from 1 to F; 0 of those without meta-train rows.
    """

    fits: PyTree
    fold: Int[Array, "entities"]


CrossFit = Callable[[Callable[[Problem], Callable[[Problem], PyTree]]], CrossFitted]
"""What a learner that asks for ``cross_fit`` is given: called with ``prepare``, it returns the fits.

``prepare(problem)`` is called once, with all of meta-train, and returns what fits to a problem that has part of its
tasks; no label may have a part in what it hands over. Leaves of all fits must have the same shapes."""


def cross_fit(problem: Problem, prepare: Callable[[Problem], Callable[[Problem], PyTree]]) -> CrossFitted:
    """Fit to all meta-train tasks, and to all but each fold.

    Args:
        problem: its background says which fold each task is in.
        prepare: see `CrossFit`.
    """
    if problem.background is None:
        raise UserError("learner: it asks for cross-fitting, and this problem has no background that says the folds")
    fold = problem.background().folds
    own, fit = fold[np.asarray(problem.train.entity)], prepare(problem)
    parts = [problem, *(of_tasks(problem, own != each) for each in range(1, int(fold.max()) + 1))]
    fits = side_by_side(fit, parts)
    return CrossFitted(jax.tree.map(lambda *leaves: jnp.stack(leaves), *fits), jnp.asarray(fold))


def of_tasks(problem: Problem, kept: Bool[np.ndarray, "T"]) -> Problem:
    """The problem with some of its meta-train tasks; vocabularies and scales stay as they were fitted."""
    train = problem.train
    rows = kept[owners(train)]
    size = np.asarray(train.size)[kept]
    start = np.concatenate([[0], np.cumsum(size)[:-1]]).astype(np.int32)
    per_row = {name: np.asarray(values)[rows] for name in ("row", "label", "time", "weight")
               if (values := getattr(train, name)) is not None}  # fmt: skip
    return problem._replace(
        train=train._replace(entity=np.asarray(train.entity)[kept], start=start, size=size, catalogue=None, **per_row)
    )


def own_fold(fitted: CrossFitted, context: Features) -> Int[Array, ""]:
    """The index of the fit that a task reads: without its fold; the first, of all, if it has no meta-train rows."""
    return fitted.fold[context[ENTITY]]
