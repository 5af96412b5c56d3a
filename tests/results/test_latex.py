"""Tables for LaTeX."""

import numpy as np

from recmeta.results.grids import Grid, Report, overview
from recmeta.results.judging import Judging
from recmeta.results.latex import latex, latex_table
from recmeta.results.runs import Missing, find
from recmeta.results.tables import tabulate

BASE = np.random.default_rng(0).normal(1, 0.3, 20)
NAN = float("nan")


def rows(text):
    return [line.removesuffix(r" \\").split(" & ") for line in text.splitlines() if line.endswith(r"\\")]


def test_best_is_bold_others_are_marked_and_nothing_is_a_dash(make, config, tmp_path):
    near = BASE + 0.001 * (-1) ** np.arange(20)
    path = make("a", config(), {"model": BASE, "item_mean": near, "popularity": np.full(20, NAN), "random": BASE + 1})
    runs, _ = find([path])
    how = Judging()
    lost = [Missing(tmp_path / "b", "failed", ("learner=maml",), "out of memory", {}, [])]
    text = latex(Report(tabulate(runs, how), [], lost, how))
    head, *body = rows(text)[:5]
    assert head[:3] == ["method", "mae", "ndcg@5"]
    found = {cells[0]: cells[1] for cells in body}
    marked = {name: cell for name, cell in found.items() if "textbf" in cell or "approx" in cell}
    mean = BASE.mean()
    best, other = sorted(marked.values(), key=lambda cell: "approx" in cell)
    assert best.startswith(rf"\textbf{{{mean:.3f}}} [")
    assert other.startswith(rf"{mean:.3f}$^{{\approx}}$ [")
    assert found[r"popularity"] == "--"
    assert text.count(r"\toprule") == text.count(r"\midrule") == text.count(r"\bottomrule") == 3
    assert "% runs missing from the tables: 1 (1 failed)" in text
    assert "out of memory" in text


def test_every_row_has_as_many_cells_as_columns(make, config):
    runs, _ = find([make("a", config(), {"model": BASE, "item_mean": BASE + 1})])
    how = Judging(by="shots")
    text = latex(Report(tabulate(runs, how), [], [], how))
    for block in text.split(r"\begin{tabular}{")[1:]:
        columns = block.partition("}")[0]
        assert {len(cells) for cells in rows(block.partition(r"\end{tabular}")[0])} == {len(columns)}


def test_a_method_that_was_not_run_on_a_data_set_is_an_empty_cell(make, config):
    other = config("maml") | {"dataset": {"_target_": "recmeta.datasets.other"}}
    paths = [
        make("a", config("maml"), {"model": BASE - 0.5, "item_mean": BASE}),
        make("b", config("ridge"), {"model": BASE - 0.2, "item_mean": BASE}),
        make("c", other, {"model": BASE - 0.1, "item_mean": BASE}, data="data1"),
    ]
    tables = tabulate(find(paths)[0], Judging())
    grid = overview(tables)
    assert grid.head == ["method", "dataset=tiny", "dataset=other"]
    found = {label: cells for label, *cells in grid.body}
    assert found["learner=ridge"] == [f"{BASE.mean() - 0.2:.3f}", "-"]
    assert found["item_mean"] == [f"{BASE.mean():.3f}"] * 2
    assert set(grid.marks.values()) == {"best"}
    said = latex(Report(tables, [], [], Judging()))
    assert rf"learner=ridge & {BASE.mean() - 0.2:.3f} & -- \\" in said


def test_special_characters_do_not_break_a_table():
    text = "\n".join(
        latex_table(Grid("a_b & c", ["method", "x#"], [["50 %", "\N{MINUS SIGN}0.1 [\N{MINUS SIGN}0.2, ∞]"]]))
    )
    assert r"\caption{a\_b \& c}" in text
    assert r"50 \% & $-$0.1 [$-$0.2, $\infty$] \\" in text
