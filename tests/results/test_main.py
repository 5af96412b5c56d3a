"""The command, and the files it writes."""

import csv
import subprocess
import sys

import numpy as np
import pytest

from recmeta.results.__main__ import main

BASE = np.random.default_rng(1).normal(1, 0.3, 15)
NAN = float("nan")


@pytest.fixture
def outputs(make, config, tmp_path):
    """One complete run, one failed, one unfinished."""
    popularity = np.full(15, NAN)
    settings = config(learner_settings={"inner_steps": 5})
    make("study/done", settings, {"model": BASE - 0.5, "user_item_bias": BASE, "popularity": popularity})
    for name in ("failed", "unfinished"):
        directory = tmp_path / "outputs" / "study" / name
        directory.mkdir(parents=True)
        (directory / "config.yaml").write_text("name: study\n")
    (tmp_path / "outputs" / "study" / "failed" / "failure.json").write_text('{"error": "out of memory [x]"}')
    return tmp_path / "outputs"


def test_prints_tables_verdicts_and_what_is_missing(outputs, capsys):
    assert main([str(outputs)]) == 0
    printed = capsys.readouterr().out
    assert f"{BASE.mean() - 0.5:.3f} [" in printed
    assert "user_cold: mae by support size" in printed
    assert "K=5 " in printed
    assert "learner=ridge: below user_item_bias by 0.500 MAE" in printed
    assert "runs missing from the tables: 2 (1 failed, 1 unfinished)" in printed
    assert "(failed: out of memory [x])" in printed
    assert "nan" not in printed.lower()


def test_writes_markdown_latex_and_csv(outputs, tmp_path):
    out = tmp_path / "new" / "report"
    assert main([str(outputs), "--out", str(out)]) == 0
    markdown = (out / "results.md").read_text()
    assert f"| best | learner=ridge | {BASE.mean() - 0.5:.3f} [" in markdown
    assert "runs missing from the tables: 2" in markdown
    latex = (out / "results.tex").read_text()
    assert r"user\_item\_bias" in latex
    assert latex.count(r"\toprule") == latex.count(r"\end{tabular}") == 2
    lines = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    model = next(line for line in lines if line["row"] == "learner=ridge" and line["metric"] == "mae")
    assert float(model["mean"]) == pytest.approx(BASE.mean() - 0.5)
    assert (model["tasks"], model["mark"], model["kind"]) == ("15", "best", "learner")
    popularity = next(line for line in lines if line["row"] == "popularity")
    assert (popularity["mean"], popularity["lo"]) == ("", "")
    assert sorted(line["status"] for line in lines if line["status"] != "complete") == ["failed", "unfinished"]
    assert "nan" not in (markdown + latex).lower()


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: no such path"),
        (["empty"], "empty: holds no run"),
        (["outputs", "--metric", "precision@5"], "no such metric|--metric precision@5"),
        (["outputs", "--shots", "3"], "--shots 3"),
        (["outputs/study/failed"], "none of 1 runs is complete"),
        (["outputs", "--out", "file/report"], "cannot be written"),
    ],
)
def test_the_users_mistakes_are_one_line_and_exit_code_2(outputs, monkeypatch, capsys, arguments, said):
    monkeypatch.chdir(outputs.parent)
    (outputs.parent / "empty").mkdir()
    (outputs.parent / "file").write_text("")
    assert main(arguments) == 2
    error = capsys.readouterr().err
    assert any(part in error for part in said.split("|"))
    assert error.count("\n") == 1


def test_imports_no_training_code():
    program = (
        "import sys, recmeta.results.__main__\n"
        "print(*(name for name in sys.modules if name.partition('.')[0] in ('recmeta', 'flax', 'hydra', 'optax')))"
    )
    loaded = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout
    allowed = ["recmeta", "recmeta.metrics", "recmeta.results", "recmeta.statistics", "recmeta.types"]
    rooms = {".".join(name.split(".")[:2]) for name in loaded.split()}
    assert sorted(rooms) == allowed
