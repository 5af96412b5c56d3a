"""Plots of a method's settings after a search: slices, and importance."""

from __future__ import annotations

import numpy as np
import polars as pl
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from recmeta.results.figures.curves import is_wide
from recmeta.results.figures.style import HATCHES, WIDTH, canvas

ENOUGH = 8
"""Fewest settings for which importance is drawn: a forest would fit noise below it."""

TREES, REPEATS = 100, 10
"""Trees of the forest, and permutations of each setting."""


def slices(frame: pl.DataFrame, metric: str, goal: str, title: str) -> Figure:
    """Plot each setting against the metric: a dot per run, and a line through the best of each value.

    Args:
        frame: `frames.by_setting`, with at least one setting.
        metric: name of the values, in words.
        goal: "min" or "max".
        title: the method's name.
    """
    keys = [name for name in frame.columns if name not in ("row", "value")]
    figure, first = canvas(title, keys[0], metric, height=2.6)
    first.remove()
    figure.set_size_inches(min(2.4 * len(keys) + 0.6, 2 * WIDTH), 2.8)
    every = figure.subplots(1, len(keys), sharey=True, squeeze=False)[0]
    for axes, key in zip(every, keys, strict=True):
        _slice(axes, frame, key, goal)
    every[0].set_ylabel(metric)
    figure.suptitle(title, x=0.01, ha="left", fontsize=9)
    return figure


def _slice(axes: Axes, frame: pl.DataFrame, key: str, goal: str) -> None:
    best = frame.group_by(key).agg(pl.col("value").min() if goal == "min" else pl.col("value").max()).sort(key)
    every = (frame[key].to_list(), frame["value"].to_list())
    axes.plot(*every, "o", color="#7f7f7f", markersize=3.5, markerfacecolor="none")
    axes.plot(best[key].to_list(), best["value"].to_list(), "-", color="black", linewidth=1, marker="s", markersize=3)
    axes.set_xlabel(key)
    axes.grid(alpha=0.3, linewidth=0.5)
    if is_wide(frame[key].to_list()):
        axes.set_xscale("log")
    else:
        axes.xaxis.set_major_locator(MaxNLocator(4))


def importances(frame: pl.DataFrame) -> pl.DataFrame:
    """Permutation importance of each setting, in a random forest that predicts the value from all settings.

    As a share of the variance of the values, mean and standard deviation over shuffles; settings that matter only
    together share their importance. It holds within the range of settings tried, not beyond.

    Args:
        frame: `frames.by_setting`.

    Returns:
        ``setting, importance, deviation``, the most important first.

    Reference:
        Breiman, Random forests, Machine Learning 2001; in the place of the functional variance of Hutter, Hoos and
        Leyton-Brown, ICML 2014.
    """
    # scikit-learn takes a second to import: only where it is needed.
    from sklearn.ensemble import RandomForestRegressor
    from sklearn.inspection import permutation_importance

    keys = [name for name in frame.columns if name not in ("row", "value")]
    inputs, values = frame.select(keys).to_numpy(), frame["value"].to_numpy()
    spread = values.std() or 1.0
    forest = RandomForestRegressor(TREES, random_state=0).fit(inputs, values / spread)
    found = permutation_importance(
        forest, inputs, values / spread, n_repeats=REPEATS, random_state=0, scoring="neg_mean_squared_error"
    )
    mean, deviation = np.asarray(found["importances_mean"]), np.asarray(found["importances_std"])
    # A shuffled column differs by twice its variance from itself.
    made = pl.DataFrame({"setting": keys, "importance": mean / 2, "deviation": deviation / 2})
    return made.sort("importance", descending=True)


def importance_bars(frame: pl.DataFrame, title: str) -> Figure:
    """Plot bars of `importances`, the most important on top.

    Args:
        frame: from `importances`.
        title: the method.
    """
    figure, axes = canvas(title, "share of the variance over settings", "", height=0.9 + 0.3 * frame.height)
    for at, (setting, importance, deviation) in enumerate(frame.iter_rows()):
        bars = axes.barh([setting], [importance], xerr=[deviation], color="white", edgecolor="black", capsize=2)
        bars[0].set_hatch(HATCHES[at % len(HATCHES)])
    axes.invert_yaxis()
    axes.set_xlim(left=0)
    return figure
