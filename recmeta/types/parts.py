"""The interfaces of the parts: model, objective, learner, baseline. Each is a NamedTuple of pure functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Any, NamedTuple

from jaxtyping import Array, Bool, Float, PRNGKeyArray, PyTree

from recmeta.types.reporting import no_check
from recmeta.types.tasks import Batch, Features, Problem, Query, Support

Params = PyTree
"""Meta-parameters: a dict of plain arrays. Embedding tables stand under ``params["tables"]``."""

Numbers = Mapping[str, Mapping[str, Any]]
"""Settings that leave shapes alone, by group and name: ``{"learner": {"inner_rate": 0.01}}``. What differs in nothing
else shares one compiled program, to which they are arguments: floats on the host, tracers inside."""

Constants = PyTree
"""Arrays of a model that nobody trains: frozen vectors, pretrained weights, other users' rows. All replicas of a
program share one copy, an argument of the compiled program; it is in no gradient, optimizer state or checkpoint."""


class Traced:
    """In a setting's annotation: it is one of the `Numbers`, so no Python may branch on its value."""


class Encoding(NamedTuple):
    """Representations of rows.

    Attributes:
        context: ``[1, dc]`` where it is the same for all rows, else ``[n, dc]``.
        row: ``[n, dr]``.
    """

    context: Float[Array, "m dc"]
    row: Float[Array, "n dr"]


class Model(NamedTuple):
    """Encoder and scorer as pure functions over plain pytrees (`recmeta.models.model`).

    Attributes:
        init: ``key -> params``: a dict with "tables" (embedding tables), "encoder" and "scorer".
        encode: ``(params, context, support, x, key=None) -> Encoding`` of the rows ``x``; with ``x`` None, of the
            support rows themselves, each of which then sees only the support rows before it. ``key`` is the randomness
            of dropout and sampling, ``support.key`` where it is None; where both are, all is deterministic.
        score: ``(params, Encoding) -> [n]`` in the objective's units (labels under mse, logits under bce).
        widths: ``(dc, dr)``.
        kernels: the paths in ``params`` of the matrices that inputs are multiplied by, and nothing else: in their place
            may stand anything that stands on the right of ``x @``.
        constants: arrays that nobody trains; `encode` and `score` read them.
        bind: ``constants -> (encode, score)`` that read those instead (`recmeta.models.model.with_constants`); None
            where there are none.
        unreached: the paths in ``params`` of matrices that inputs are multiplied by and that are no ``kernels``, so
            that no adapter reaches them (`recmeta.models.probe`).
    """

    init: Callable[[PRNGKeyArray], Params]
    encode: Callable[..., Encoding]
    score: Callable[[Params, Encoding], Float[Array, "n"]]
    widths: tuple[int, int]
    kernels: frozenset[tuple[Any, ...]] = frozenset()
    constants: Constants = ()
    bind: Callable[[Constants], tuple[Callable[..., Encoding], Callable[..., Array]]] | None = None
    unreached: frozenset[tuple[Any, ...]] = frozenset()


class ScoredNegatives(NamedTuple):
    """The scores of a task's `recmeta.types.Negatives`, for an objective that contrasts the query with them.

    Attributes:
        score: ``[m]``, in the units of the query's.
        log_q: ``[m]``, the log-probability with which each was drawn.
        mask: ``[m]``, which of them count.
    """

    score: Float[Array, "m"]
    log_q: Float[Array, "m"]
    mask: Bool[Array, "m"]


def identity(value: Array) -> Array:
    """Scores are labels already."""
    return value


class Objective(NamedTuple):
    """A loss, and the units of a score.

    Attributes:
        loss: ``(scores [n], labels [n], where [n], weights=None, key=None) -> scalar``: the mean over the rows that are
            there, weighted by ``weights [n]`` where given; 0 if none is. ``key`` is for a loss that draws; None where
            all is deterministic. With ``negatives`` it also takes the keyword ``negatives``: `ScoredNegatives` on a
            query in training, None on a support, whose rows are all that is known there.
        predict: score -> expected label.
        link: expected label -> score; the inverse of ``predict``.
        binary: whether labels must be 0 and 1.
        rates: whether a score stands for a label; where not, it only ranks: nothing that reads a rating is reported of
            it or chooses by it, and ``predict`` and ``link`` are left as they are.
        negatives: whether the loss contrasts the query with rows that nobody rated.
        distribution: scores ``[...]`` -> log-shares ``[..., L]`` of the label's levels, where a score stands for a
            distribution; absolute error then reads its median. None: it stands for a number.
    """

    loss: Callable[..., Array]
    predict: Callable[[Array], Array] = identity
    link: Callable[[Array], Array] = identity
    binary: bool = False
    rates: bool = True
    negatives: bool = False
    distribution: Callable[[Array], Array] | None = None


Augmentation = Callable[[PRNGKeyArray, Batch], Batch]
"""Change a batch of meta-train tasks at random, inside the compiled program; shapes and dtypes stay as they are."""


class Learner(NamedTuple):
    """Adaptation to a task: pure functions of ONE task; everything else is added from outside.

    Attributes:
        init: ``key -> params``.
        adapt: ``(params, context, support, depth=None) -> fast``: everything that `predict` needs. ``depth`` (an int
            or a traced scalar) is how many of the ``steps`` to take, None for all; 0 is the unadapted model.
        predict: ``(fast, query) -> scores [n]``.
        meta_grad: ``(params, batch, key) -> (gradients like params, {metric: scalar})``, over a batch of tasks.
        steps: how many steps `adapt` takes; 1 for closed forms, 0 for what never adapts.
        ignores: the groups of the config whose choice changes no gradient, as "objective" where the learner has a loss
            of its own. (Parts of the model without parameters in ``init`` are found by that.)
        notes: lines for the user, as what the learner makes of labels that it is not meant for.
        distribution: ``(fast, query) -> log-shares [n, L]`` of the label's levels, ``DataSpec.levels``, where the
            learner predicts a distribution: absolute error then reads its median. None: it predicts a number.
        shrink: ``(params, share) -> params``, where the learner corrects something that predicts by itself: only by
            that share, at 0 not at all. Each meta-validation chooses the share. None: it corrects nothing.
        departs: what makes it another method than the paper's whose name it has: pairs of a setting, with its group,
            and what tables print of it in brackets behind the name, as ``("learner.adapts", "head")`` of `maml`; of
            "paper" what no setting changes.
        outer: the outer optimizer without which it is not the paper's method, by its name in optax; "": any will do.
    """

    init: Callable[[PRNGKeyArray], Params]
    adapt: Callable[..., PyTree]
    predict: Callable[[PyTree, Query], Float[Array, "n"]]
    meta_grad: Callable[[Params, Batch, PRNGKeyArray], tuple[Params, dict[str, Array]]]
    steps: int
    ignores: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    distribution: Callable[[PyTree, Query], Float[Array, "n L"]] | None = None
    shrink: Callable[[Params, Array], Params] | None = None
    departs: tuple[tuple[str, str], ...] = ()
    outer: str = ""


MakeLearner = Callable[[Numbers, Constants], Learner]
"""What makes a learner of its numbers and its model's constants, which are tracers inside a compiled program."""


class Baseline(NamedTuple):
    """A closed-form method that every table carries.

    Attributes:
        fit: ``problem -> state``, from meta-train alone. Runs once, on the host.
        predict: ``(state, settings, key, context, support, query) -> scores [n]`` of one task; ``settings`` is a dict
            of scalars, one for each name in ``grid``.
        rates: whether scores are expected labels; where not, they only rank.
        grid: setting -> the values to try. All combinations are tried on meta-validation, at each support size.
        combines: whether it combines the other baselines of the list, after these are tuned, and is not fitted alone.
        check: raises `UserError` where a library that it needs is missing; before anything is loaded.
        distribution: as ``predict``, to log-shares ``[n, L]`` of the label's levels; None: it predicts a number.
    """

    fit: Callable[[Problem], PyTree]
    predict: Callable[[PyTree, Mapping[str, Array], PRNGKeyArray, Features, Support, Query], Float[Array, "n"]]
    rates: bool
    grid: Mapping[str, Sequence[float]] = MappingProxyType({})
    combines: bool = False
    check: Callable[[], Any] = no_check
    distribution: Callable[..., Float[Array, "n L"]] | None = None
