"""Tables for LaTeX."""

import numpy as np
import pytest

from recmeta.results.grids import Grid, Report, _grids, overview
from recmeta.results.judging import Judging
from recmeta.results.latex import COLUMN, PAGE, Style, check, latex, latex_table, read_names, separate
from recmeta.results.runs import Missing, find
from recmeta.results.tables import tabulate
from recmeta.types import UserError

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
    assert head[:3] == ["method", r"mae $\downarrow$", r"ndcg@5 $\uparrow$"]
    found = {cells[0]: cells[1] for cells in body}
    marked = {name: cell for name, cell in found.items() if "textbf" in cell or "approx" in cell}
    mean = BASE.mean()
    best, other = sorted(marked.values(), key=lambda cell: "approx" in cell)
    assert best.startswith(rf"\textbf{{{mean:.3f}}} $\pm$ 0.")
    assert other.startswith(rf"{mean:.3f}$^{{\approx}}$ $\pm$ 0.")
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
        latex_table(
            Grid(
                "a_b & c",
                ["method", "x#"],
                [["50 %", "\N{MINUS SIGN}0.1 [\N{MINUS SIGN}0.2, ∞]"], ["a", "0.1 [\N{MINUS SIGN}0.2, 0.4]"]],
            )
        )
    )
    assert r"\caption{a\_b \& c. $\pm$: half the 95\,\% interval.}" in text
    assert r"50 \% & $-$0.1 [$-$0.2, $\infty$] \\" in text, "half of it is no number"
    assert r"a & 0.1 $\pm$ 0.3 \\" in text


GRID = Grid(
    "dataset=ml_100k protocol=user_cold (data 1a2b): user_cold, K = 20",
    ["", "method", "mae", "rmse", "ndcg@5", "recall@5", "mrr", "auc", "tasks", "seeds"],
    [
        ["best", "learner=maml", *["0.810 [0.758, 0.863]"] * 6, "74", "3"],
        ["", "user_item_bias", *["0.816 [0.764, 0.872]"] * 5, "-", "74", "-"],
    ],
    {(0, 2): "best"},
    {"mae": "min", "rmse": "min", "ndcg@5": "max", "recall@5": "max", "mrr": "max", "auc": "max"},
)


def test_chosen_metrics_and_methods_in_order_by_their_names_in_print():
    style = Style(["ndcg@5", "mae"], ["Bias", "learner=maml"], {"user_item_bias": "Bias", "mae": "MAE"}, "none")
    text = "\n".join(latex_table(GRID, style))
    head, *body = rows(text)
    assert head == ["method", r"ndcg@5 $\uparrow$", r"MAE $\downarrow$"]
    assert body == [["Bias", "0.816", "0.816"], ["learner=maml", "0.810", r"\textbf{0.810}"]]
    assert r"\begin{table}" in text, "two metrics fit a column"
    assert "(74 tasks, 3 seeds)" in text
    assert r"\label{tab:ml-100k-user-cold-user-cold-k-20}" in text


def test_spreads():
    for spread, cell in (("pm", r"0.816 $\pm$ 0.054"), ("interval", "0.816 [0.764, 0.872]"), ("none", "0.816")):
        assert cell in rows("\n".join(latex_table(GRID, Style(spread=spread))))[2]


def test_wide_tables_are_as_wide_as_the_page_and_no_wider():
    few = "\n".join(latex_table(GRID, Style(["mae", "rmse"], spread="none")))
    all_six = "\n".join(latex_table(GRID, Style(spread="interval")))
    assert few.count(r"\begin{table}") == 1
    assert all_six.count(r"\begin{table*}") == 2, "what does not fit goes to another table"
    assert r"\label{tab:ml-100k-user-cold-user-cold-k-20-2}" in all_six
    cells = [cell for line in rows(all_six) for cell in line]
    assert all(f"0.810{end}" in " ".join(cells) for end in (" [0.758, 0.863]",))
    assert COLUMN < PAGE


def test_one_file_a_table_each_with_a_name_of_its_own(make, config):
    runs, _ = find([make("a", config(), {"model": BASE, "item_mean": BASE + 1})])
    files = separate(Report(tabulate(runs, Judging()), [], [], Judging()), Style())
    assert list(files) == ["tiny-user-cold-user-cold-k-20.tex", "tiny-user-cold-user-cold-mae-by-support-size.tex",
                           "tiny-user-cold-budget.tex"]  # fmt: skip
    assert all(text.count(r"\begin{tabular}") == 1 for text in files.values())


def test_what_no_table_has_is_refused(make, config, tmp_path):
    runs, _ = find([make("a", config(), {"model": BASE, "item_mean": BASE + 1})])
    report = Report(tabulate(runs, Judging()), [], [], Judging())
    check(report, Style(["mae"], ["item_mean", "Ridge"], {"learner=ridge": "Ridge"}))
    with pytest.raises(UserError, match=r"^--metrics maee: no such name; there are mae, ndcg@5$"):
        check(report, Style(["maee"]))
    with pytest.raises(UserError, match=r"^--methods maml: no such name; there are "):
        check(report, Style(methods=["maml"]))
    (tmp_path / "names.yaml").write_text("learner=maml: MAML\nmae: MAE\n")
    assert read_names(tmp_path / "names.yaml") == {"learner=maml": "MAML", "mae": "MAE"}
    (tmp_path / "names.yaml").write_text("- a\n")
    with pytest.raises(UserError, match="must be a yaml of lines as"):
        read_names(tmp_path / "names.yaml")


def test_what_makes_a_learner_another_method_is_printed_and_its_bare_name_finds_it(make, config):
    """In the table, the verdicts, the ledger and LaTeX; names in print keep it, unless given for the whole label."""
    named = {"maml": {"learner.adapts": "head"}, "ridge": None}
    paths = [make(n, config(n), {"model": BASE - 0.5, "item_mean": BASE}, departs=d) for n, d in named.items()]
    runs, _ = find(paths)
    how = Judging(against="learner=maml", ablation="learner=maml")
    (table,) = tables = tabulate(runs, how)
    assert {row.label for row in table.rows} == {"learner=maml (head)", "learner=ridge", "item_mean"}
    assert table.judged[0].reference == "learner=maml (head)" == table.ablation.full
    assert {budget.method for budget in table.budgets} == {"learner=maml (head)", "learner=ridge", "item_mean"}
    (table,) = tabulate(runs, Judging())
    assert any(line.startswith("learner=maml (head): below item_mean") for line in table.verdicts)
    report = Report(tables, [], [], how)
    for names, printed in (
        ({"learner=maml": "MAML"}, "MAML (head)"),
        ({"learner=maml (head)": "ANIL"}, "ANIL"),
        ({}, "learner=maml (head)"),
    ):
        for asked in {"learner=maml", "learner=maml (head)", printed, *names.values()}:
            style = Style(methods=[asked, "item_mean"], names=names)
            check(report, style)
            found = [cells[0] for cells in rows("\n".join(latex_table(next(_grids(table)), style)))]
            assert found[-2:] == [printed, r"item\_mean"]
