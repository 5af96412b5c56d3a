"""What is drawn is what the frame says, and it can be read without colour."""

from itertools import pairwise

import numpy as np
import polars as pl
import pytest

from recmeta.results.figures.curves import cost_scatter, difference_bars, inner_curve, learning_curve, shots_curve
from recmeta.results.figures.diagram import cliques, critical_difference
from recmeta.results.figures.search import importance_bars, importances, slices
from recmeta.results.figures.style import COLOURS, DASHES, MARKERS, line_style, save, svg

ROWS = [f"method {i}" for i in range(8)]
SHOTS = pl.DataFrame(
    [(row, k, 1 - 0.1 * i + k / 100, 0.1, 2.0) for i, row in enumerate(ROWS) for k in (0, 1, 20)],
    schema=["row", "shots", "mean", "lo", "hi"],
    orient="row",
)


def lines_of(figure):
    """Label -> y of every line with a label."""
    handles, names = figure.axes[0].get_legend_handles_labels()
    lines = [handle.lines[0] if hasattr(handle, "lines") else handle for handle in handles]
    return dict(zip(names, lines, strict=True))


def test_shots_are_evenly_spaced_with_their_intervals():
    figure = shots_curve(SHOTS, "mae")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_xticklabels()] == ["0", "1", "20"]
    for at, row in enumerate(ROWS):
        assert lines_of(figure)[row].get_ydata().tolist() == pytest.approx([1 - 0.1 * at + k / 100 for k in (0, 1, 20)])
    ends = np.concatenate([path.vertices[:, 1] for bars in axes.collections for path in bars.get_paths()])
    assert (ends.min(), ends.max()) == (pytest.approx(0.1), pytest.approx(2))


def test_differences_with_their_intervals():
    frame = pl.DataFrame({
        "row": ["a", "b"], "reference": ["r", "r"], "difference": [-0.1, 0.2], "lo": [-0.2, 0.1], "hi": [0.1, 0.3],
        "p": [0.2, 0.01],
    })  # fmt: skip
    figure = difference_bars(frame, "mae", "min")
    axes = figure.axes[0]
    assert [text.get_text() for text in axes.get_yticklabels()] == ["a", "b"]
    ends = [path.vertices[:, 0].tolist() for bars in axes.collections for path in bars.get_paths()]
    assert ends == [pytest.approx([-0.2, 0.1]), pytest.approx([0.1, 0.3])]
    assert "further left is better" in axes.get_xlabel()


def test_lines_differ_without_colour():
    styles = [line_style(at) for at in range(8)]
    assert len({style["marker"] for style in styles}) == len(MARKERS) == len(COLOURS) == 8
    assert all(a["linestyle"] != b["linestyle"] for a, b in pairwise(styles))
    assert len(DASHES) == 4


def test_learning_and_inner_curves():
    frame = pl.DataFrame(
        {"row": ["a"] * 3, "step": [1, 2, 3], "mean": [3.0, 2, 1], "lo": [2.0, 1, 0], "hi": [4.0, 3, 2]}
    )
    for figure in (learning_curve(frame, "mae"), inner_curve(frame)):
        assert lines_of(figure)["a"].get_xydata().tolist() == [[1, 3], [2, 2], [3, 1]]


def test_cost_on_a_logarithmic_axis_where_it_is_wide():
    frame = pl.DataFrame({
        "row": ["a", "b"], "kind": ["learner", "baseline"], "seconds": [100.0, 1.0], "mean": [0.7, 0.8],
        "lo": [0.6, float("nan")], "hi": [0.8, float("nan")],
    })  # fmt: skip
    figure = cost_scatter(frame, "mae")
    assert figure.axes[0].get_xscale() == "log"
    found = lines_of(figure)
    assert found["a"].get_xydata().tolist() == [[100, 0.7]]
    assert (found["a"].get_markerfacecolor(), found["b"].get_markerfacecolor()) != ("none", "none")
    assert found["b"].get_markerfacecolor() == "none"


def test_cliques_are_the_longest():
    assert cliques([1, 2, 3], 0.5) == []
    assert cliques([1, 2, 3], 5) == [(0, 2)]
    assert cliques([1, 1.5, 2.8, 3], 1.4) == [(0, 1), (1, 2), (2, 3)]
    assert cliques([1, 2], 1) == []


def test_bars_of_the_diagram_join_cliques():
    frame = pl.DataFrame({"row": ["a", "b", "c"], "rank": [1.0, 1.5, 3.0]})
    axes = critical_difference(frame, 1.2).axes[0]
    bars = [line.get_xdata().tolist() for line in axes.lines if line.get_linewidth() == 3]
    assert bars == [[1, 1.5]]
    said = [text.get_text().strip() for text in axes.texts]
    assert {"a (1.00)", "b (1.50)", "c (3.00)", "critical difference 1.20"} == set(said)


@pytest.fixture
def searched():
    """A value that a rate makes, twice as much as a width does, and a depth not at all."""
    rng = np.random.default_rng(0)
    rate, width, depth = (rng.permutation(np.tile(np.arange(8), 5)).astype(float) for _ in range(3))
    value = 2 * rate + width
    return pl.DataFrame(
        {"row": [str(i) for i in range(40)], "value": value, "rate": rate, "width": width, "depth": depth}
    )


def test_slices_join_the_best_of_each_value(searched):
    figure = slices(searched, "mae", "min", "ridge")
    assert [axes.get_xlabel() for axes in figure.axes] == ["rate", "width", "depth"]
    points, best = figure.axes[0].lines
    assert sorted(points.get_ydata()) == sorted(searched["value"])
    for rate, value in zip(best.get_xdata(), best.get_ydata(), strict=True):
        assert value == searched.filter(pl.col("rate") == rate)["value"].min()


def test_importance_finds_what_matters(searched):
    """Of independent parts the share of the variance is 4 to 1; a forest of 40 points comes near that."""
    found = importances(searched)
    assert found["setting"].to_list() == ["rate", "width", "depth"]
    rate, width, depth = found["importance"]
    assert 0.6 < rate < 0.9
    assert 0.1 < width < 0.3
    assert abs(depth) < 0.03
    bars = importance_bars(found, "ridge").axes[0].patches
    assert [bar.get_width() for bar in bars] == pytest.approx(found["importance"].to_list())
    assert len({bar.get_hatch() for bar in bars}) == 3


def test_equal_figures_are_equal_files(tmp_path):
    for suffix in ("png", "pdf"):
        written = []
        for name in ("a", "b"):
            path = tmp_path / f"{name}.{suffix}"
            save(shots_curve(SHOTS, "mae"), path)
            written.append(path.read_bytes())
        assert written[0] == written[1]
    assert svg(shots_curve(SHOTS, "mae")) == svg(shots_curve(SHOTS, "mae"))
    assert ">method 3</text>" in svg(shots_curve(SHOTS, "mae"))
