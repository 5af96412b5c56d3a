"""Fit a Gaussian factor model of labels by variational EM: biases and vectors of both sides, with their covariances."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

ITERATIONS = 60
"""Most iterations of EM."""

ENOUGH = 2e-5
"""EM ends once an iteration adds less than this to the bound, per row."""

INTERCEPT = 1e-2
"""Prior precision of a side's intercept, in units of its covariance: next to none."""

FLOOR = 1e-8
"""Variances stay above this, in squared labels."""


class Side(NamedTuple):
    """One side's unknowns, users or items: a bias and a vector each, ``d = 1 + rank`` numbers, normal a posteriori.

    Attributes:
        mean, cov: of each entity.
        spread: covariance of an entity about its prior mean.
        weights: the prior mean is ``design @ weights``.
        penalty: prior precision of each row of ``weights``, in units of ``spread``.
        uncertainty: covariance of the rows of ``weights``, in units of ``spread``.
    """

    mean: Float[np.ndarray, "N d"]
    cov: Float[np.ndarray, "N d d"]
    spread: Float[np.ndarray, "d d"]
    weights: Float[np.ndarray, "k d"]
    penalty: Float[np.ndarray, "k"]
    uncertainty: Float[np.ndarray, "k k"]


class Factors(NamedTuple):
    """A fitted model: ``label = bias_u + bias_i + vector_u . vector_i + noise``.

    Attributes:
        users, items: the two sides.
        noise: variance of the noise.
        bound: the lower bound of the log likelihood per row after each iteration; it never falls.
    """

    users: Side
    items: Side
    noise: float
    bound: list[float]


class Design(NamedTuple):
    """Features of a side's entities: a row each, the first column all ones.

    Attributes:
        rows: sparse.
        group: of each column, the number of its field: columns of one field share a penalty; 0 is the intercept.
    """

    rows: csr_array
    group: Int[np.ndarray, "k"]


def fit(labels: csr_array, designs: tuple[Design, Design], start: Float[np.ndarray, "I r"], noise: float) -> Factors:
    """Fit by coordinate ascent of the variational bound, each step of which has a closed form.

    A posteriori users and items are taken to be independent of each other. Nothing is to be tuned but the rank: noise,
    both covariances, and the weight of every field of the designs are estimated.

    Args:
        labels: ``[U, I]``, centred; a stored 0 is a label.
        designs: of users and of items.
        start: the items' vectors to begin with.
        noise: its variance to begin with.

    Reference:
        Lim and Teh, Variational Bayesian approach to movie rating prediction, KDD Cup 2007; with biases, and with prior
        means linear in features as in Agarwal and Chen, Regression-based latent factor models, KDD 2009.
    """
    rated = csr_array((np.ones_like(labels.data), labels.indices, labels.indptr), shape=labels.shape)
    by_side = (labels, rated), (csr_array(labels.T), csr_array(rated.T))
    rank = start.shape[1]
    users, items = (_start(design, rank, noise) for design in designs)
    items.mean[:, 1:] = start
    squares, bound = float((labels.data.astype(np.float64) ** 2).sum()), []
    gram = [np.asarray((design.rows.T @ design.rows).todense()) for design in designs]
    sums = _sums(*by_side[0], items)
    for _ in range(ITERATIONS):
        users = _posterior(users, designs[0], sums, noise)
        users = _prior(users, designs[0], gram[0])
        items = _posterior(items, designs[1], _sums(*by_side[1], users), noise)
        items = _prior(items, designs[1], gram[1])
        sums = _sums(*by_side[0], items)
        left = _squared_error(squares, users, sums)
        noise = max(left / labels.nnz, FLOOR)
        value = -0.5 * labels.nnz * (np.log(2 * np.pi * noise) + left / noise / labels.nnz)
        value -= _divergence(users, designs[0], gram[0]) + _divergence(items, designs[1], gram[1])
        bound.append(float(value) / labels.nnz)
        if len(bound) > 1 and bound[-1] - bound[-2] < ENOUGH:
            break
    return Factors(users, items, noise, bound)


class Sums(NamedTuple):
    """Sums over an entity's rows of the moments of ``other = (1, vector)`` on the other side.

    Attributes:
        second: of ``E[other other']``.
        label: of ``label * E[other]``.
        bias: of ``E[other * bias]``.
        square: of ``E[bias^2]``, and of ``-2 label E[bias]``, over all rows.
    """

    second: Float[np.ndarray, "N d d"]
    label: Float[np.ndarray, "N d"]
    bias: Float[np.ndarray, "N d"]
    square: float


def _start(design: Design, rank: int, noise: float) -> Side:
    """Begin with biases of half the noise's variance, vectors of unit variance, and no weight on any feature."""
    entities, columns = len(design.rows.indptr) - 1, len(design.group)
    spread = np.diag([noise / 2, *np.ones(rank)])
    cov = np.repeat(spread[None] / 10, entities, axis=0)
    penalty = np.where(design.group == 0, INTERCEPT, 10.0)
    zeros = np.zeros((columns, 1 + rank))
    return Side(np.zeros((entities, 1 + rank)), cov, spread, zeros, penalty, np.diag(1 / penalty))


def _sums(labels: csr_array, rated: csr_array, other: Side) -> Sums:
    """Sum the other side's moments over each entity's rows, by sparse products; in float32, half the bytes."""
    ones = other.mean.copy()
    ones[:, 0] = 1
    second = other.cov.copy()
    second[:, 0, :] = second[:, :, 0] = 0
    second += ones[:, :, None] * ones[:, None, :]
    bias = ones * other.mean[:, :1]
    bias[:, 1:] += other.cov[:, 1:, 0]
    # The matrices are symmetric: half of each is enough.
    upper = np.triu_indices(ones.shape[1])
    packed = rated @ np.concatenate([second[:, *upper], bias], axis=1).astype(np.float32)
    full = np.empty((len(labels.indptr) - 1, *second.shape[1:]))
    full[:, *upper] = full[:, upper[1], upper[0]] = packed[:, : len(upper[0])]
    weighted = labels @ np.concatenate([ones, other.mean[:, :1]], axis=1).astype(np.float32)
    squares = other.mean[:, 0] ** 2 + other.cov[:, 0, 0]
    square = float(rated.sum(0) @ squares) - 2 * float(weighted[:, -1].sum(dtype=np.float64))
    return Sums(full, weighted[:, :-1].astype(np.float64), packed[:, len(upper[0]) :].astype(np.float64), square)


def _posterior(side: Side, design: Design, sums: Sums, noise: float) -> Side:
    """The posterior of each entity given the other side's."""
    precision = np.linalg.inv(side.spread)
    cov = np.linalg.inv(precision + sums.second / noise)
    target = (design.rows @ side.weights) @ precision + (sums.label - sums.bias) / noise
    return side._replace(mean=np.einsum("nij,nj->ni", cov, target), cov=cov)


def _prior(side: Side, design: Design, gram: Float[np.ndarray, "k k"]) -> Side:
    """Re-estimate the weights of the features, their penalties, and the covariance about the prior means."""
    width = side.mean.shape[1]
    uncertainty = np.linalg.inv(gram + np.diag(side.penalty))
    weights = uncertainty @ (design.rows.T @ side.mean)
    rest = side.mean - design.rows @ weights
    squares = rest.T @ rest + side.cov.sum(0) + (weights * side.penalty[:, None]).T @ weights
    spread = squares / len(rest) + FLOOR * np.eye(width)
    # How much of each row of the weights there is, its uncertainty included.
    size = width * np.diag(uncertainty) + np.einsum("ki,ij,kj->k", weights, np.linalg.inv(spread), weights)
    count, total = np.bincount(design.group), np.bincount(design.group, size)
    penalty = (width * count / np.maximum(total, 1e-12))[design.group]
    penalty = np.where(design.group == 0, INTERCEPT, penalty)
    return side._replace(spread=spread, weights=weights, penalty=penalty, uncertainty=uncertainty)


def _squared_error(squares: float, side: Side, sums: Sums) -> float:
    """The expected sum of squared errors over all rows."""
    moments = side.cov + side.mean[:, :, None] * side.mean[:, None, :]
    quadratic = float(np.einsum("nij,nij->", moments, sums.second))
    linear = float((side.mean * (sums.bias - sums.label)).sum())
    return squares + sums.square + quadratic + 2 * linear


def _divergence(side: Side, design: Design, gram: Float[np.ndarray, "k k"]) -> float:
    """The divergence of a side's posterior, entities and weights, from its prior."""
    entities, width = side.mean.shape
    precision = np.linalg.inv(side.spread)
    rest = side.mean - design.rows @ side.weights
    squares = rest.T @ rest + side.cov.sum(0) + (side.weights * side.penalty[:, None]).T @ side.weights
    unsure = width * float((side.uncertainty * (gram + np.diag(side.penalty))).sum())
    spread = entities * _log_det(side.spread) - float(_log_det(side.cov).sum())
    weights = -width * (float(np.log(side.penalty).sum()) + float(_log_det(side.uncertainty)))
    return 0.5 * (
        spread + weights + float((precision * squares).sum()) + unsure - width * (entities + len(side.penalty))
    )


def _log_det(matrix: np.ndarray) -> np.ndarray:
    return np.linalg.slogdet(matrix)[1]


def groups(sizes: Sequence[int]) -> Iterator[np.ndarray]:
    """The group of each column of fields of these sizes, after the intercept's."""
    yield np.zeros(1, int)
    for number, size in enumerate(sizes, start=1):
        yield np.full(size, number)
