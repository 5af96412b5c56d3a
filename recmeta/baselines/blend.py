"""A blend of the other baselines: their predictions, with weights fitted on meta-validation."""

from __future__ import annotations

from collections.abc import Mapping

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PyTree
from scipy.optimize import nnls

from recmeta.types import Baseline, Problem, UserError

CONSTANT = "constant"
"""The setting that is added to the weighted predictions, in label units."""


def weigh(
    predicted: Float[np.ndarray, "M C T n"], label: Float[np.ndarray, "T n"], mask: Bool[np.ndarray, "T n"]
) -> tuple[Float[np.ndarray, "C M"], Float[np.ndarray, "C"]]:
    """Fit weights of at least 0 and a constant by least squares, at each support size.

    Args:
        predicted: by M methods, at C support sizes.
        label, mask: of T tasks.

    Reference:
        Breiman, Stacked regressions, Machine Learning 1996: the weights must not be negative; they need not sum to 1.
    """
    weights, constants = [], []
    target = label[mask].astype(np.float64)
    for methods in np.moveaxis(predicted, 1, 0):
        columns = methods[:, mask].T.astype(np.float64)
        means = columns.mean(0)
        # The triangle of its QR decomposition is the same problem, with as many rows as there are methods.
        triangle: np.ndarray = np.linalg.qr(np.column_stack([columns - means, target - target.mean()])).R
        weights.append(nnls(triangle[:, :-1], triangle[:, -1])[0])
        constants.append(target.mean() - means @ weights[-1])
    return np.stack(weights), np.array(constants)


def of_predictions(
    settings: Mapping[str, Float[np.ndarray, "C"]], predicted: Mapping[str, Float[Array, "C T n"]]
) -> Float[Array, "C T n"]:
    """The weighted sum of predictions that are there, by the settings of a blend; others' are left out."""

    def at(setting: str) -> Array:
        return jnp.asarray(settings[setting])[:, None, None]

    return sum((at(name) * values for name, values in predicted.items() if name in settings), at(CONSTANT))


def combined(members: Mapping[str, Baseline]) -> Baseline:
    """The weighted sum of some baselines.

    Its state is theirs, by name. Its settings are the `CONSTANT`, each one's weight under its name, and each one's own
    settings as ``name.setting``.
    """

    def predict(state: Mapping[str, PyTree], settings, key, context, support, query) -> Float[Array, "n"]:
        total = settings[CONSTANT]
        for name, member in members.items():
            own = {of.removeprefix(f"{name}."): value for of, value in settings.items() if of.startswith(f"{name}.")}
            total += settings[name] * member.predict(state[name], own, key, context, support, query)
        return total

    return Baseline(_fit, predict, rates=True, combines=True)


def _fit(problem: Problem) -> PyTree:
    raise UserError("baselines: blend combines other baselines, and is fitted with them; list it beside them")


blend = combined({})
"""The weighted sum of all other baselines of the list that predict labels.

The weights, of at least 0, are fitted on meta-validation after the others' settings were chosen there.

Reference: Breiman, Stacked regressions, Machine Learning 1996.
"""
