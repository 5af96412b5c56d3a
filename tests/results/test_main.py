"""The command, and the files it writes."""

import csv
import re
import subprocess
import sys

import numpy as np
import pytest
from scipy import stats

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


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_number_and_no_name_is_cut(outputs, make, config, capsys, monkeypatch, width):
    rate = {"inner_rate": 0.0123456789, "schedule_of_a_long_name": "cosine", "another_setting": 0.5}
    make("study/wide", config("maml", learner_settings=rate), {"model": BASE, "user_item_bias": BASE})
    monkeypatch.setenv("COLUMNS", str(width))
    assert main([str(outputs)]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    table = lines[: next(at for at, line in enumerate(lines) if line.startswith("best: the best mean"))]
    assert max(map(len, table)) <= width
    words = " ".join(printed.split())
    assert "…" not in words.replace(" … ", "")
    for mean in (BASE.mean() - 0.5, BASE.mean()):
        assert re.search(rf"{mean:.3f} \[\d\.\d{{3}}, \d\.\d{{3}}\]", words)
    for name in ("learner=ridge", "learner=maml", "user_item_bias", "popularity"):
        assert name in words


def test_writes_markdown_latex_and_csv(outputs, tmp_path):
    out = tmp_path / "new" / "report"
    assert main([str(outputs), "--out", str(out)]) == 0
    markdown = (out / "results.md").read_text()
    assert f"| best | learner=ridge | {BASE.mean() - 0.5:.3f} [" in markdown
    assert "runs missing from the tables: 2" in markdown
    latex = (out / "results.tex").read_text()
    assert r"user\_item\_bias" in latex
    assert latex.count(r"\toprule") == latex.count(r"\end{tabular}") == 3
    lines = list(csv.DictReader((out / "results.csv").read_text().splitlines()))
    model = next(line for line in lines if line["row"] == "learner=ridge" and line["metric"] == "mae")
    assert float(model["mean"]) == pytest.approx(BASE.mean() - 0.5)
    assert (model["tasks"], model["mark"], model["kind"]) == ("15", "best", "learner")
    popularity = next(line for line in lines if line["row"] == "popularity")
    assert (popularity["mean"], popularity["lo"]) == ("", "")
    assert sorted(line["status"] for line in lines if line["status"] != "complete") == ["failed", "unfinished"]
    assert "nan" not in (markdown + latex).lower()
    assert {path.suffix for path in (out / "figures").iterdir()} == {".png", ".pdf"}
    assert (out / "figures" / "shots.png").stat().st_size > 1000
    (budget, *_) = csv.DictReader((out / "budget.csv").read_text().splitlines())
    assert (budget["method"], budget["tried"], budget["train_seconds"]) == ("learner=ridge", "1", "")


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["nowhere"], "nowhere: no such path"),
        (["empty"], "empty: holds no run"),
        (["outputs", "--metric", "precision@5"], "--metric precision@5: the runs have mae, ndcg@5"),
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
    """Neither what reports, nor what draws."""
    loaded = "print(*(name for name in sys.modules if name.partition('.')[0] in ('recmeta', 'flax', 'hydra', 'optax')))"
    program = f"import sys, recmeta.results.__main__\n{loaded}\nimport recmeta.results.figures\n{loaded}"
    ended = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    allowed = ["recmeta", "recmeta.results", "recmeta.runs", "recmeta.statistics", "recmeta.types"]
    report, figures = ({".".join(name.split(".")[:2]) for name in line.split()} for line in ended.stdout.splitlines())
    assert sorted(report) == allowed
    assert sorted(figures) == allowed


def test_a_terminal_without_utf8_gets_stand_ins(outputs, make, config):
    make("study/worse", config("maml"), {"model": BASE - 0.001, "user_item_bias": BASE})
    command = [sys.executable, "-m", "recmeta.results", str(outputs)]
    environment = {"PYTHONIOENCODING": "ascii", "PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "0", "LC_ALL": "C"}
    done = subprocess.run(command, capture_output=True, env=environment, check=True)
    printed = done.stdout.decode("ascii")
    assert "95 % interval -0." in printed
    assert "~: not distinguishable" in printed
    assert "?" not in printed


def test_files_are_utf8_whatever_the_locale(outputs, tmp_path):
    (outputs / "study" / "done" / "overrides.yaml").write_text("- name=größe\n", encoding="utf-8")
    command = [sys.executable, "-m", "recmeta.results", str(outputs), "--out", str(tmp_path / "report")]
    environment = {"PYTHONPATH": ":".join(sys.path), "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "LC_ALL": "C"}
    subprocess.run(command, capture_output=True, env=environment, check=True)
    assert "≈" in (tmp_path / "report" / "results.md").read_text(encoding="utf-8")


def test_buckets_and_comparisons_are_written(outputs, tmp_path):
    out = tmp_path / "report"
    assert main([str(outputs), "--by", "shots", "--test", "permutation", "--out", str(out)]) == 0
    lines = list(csv.DictReader((out / "comparisons.csv").read_text(encoding="utf-8").splitlines()))
    assert [line["bucket"] for line in lines] == ["", "K = 5", "K = 20"]
    whole, *_, last = lines
    assert (whole["row"], whole["reference"], whole["test"]) == ("learner=ridge", "user_item_bias", "permutation")
    assert float(whole["difference"]) == float(last["difference"]) == pytest.approx(-0.5)
    assert (whole["family"], last["family"], last["tasks"]) == ("1", "2", "15")
    assert float(last["p_corrected"]) == pytest.approx(2 * float(last["p"]))
    results = list(csv.DictReader((out / "results.csv").read_text(encoding="utf-8").splitlines()))
    assert [line["mean"] for line in results if line["bucket"] == "K = 20" and line["row"] == "user_item_bias"] == [
        next(line["mean"] for line in results if line["row"] == "user_item_bias" and line["metric"] == "mae")
    ]


def test_ranks_over_data_sets(make, config, capsys, tmp_path):
    rng = np.random.default_rng(2)
    for i in range(4):
        base = rng.normal(1, 0.1, 30)
        scores = {"model": base - 0.2, "item_mean": base, "random": base + (0.5 if i else -0.1)}
        make(f"s{i}", config() | {"dataset": {"_target_": f"recmeta.datasets.d{i}"}}, scores, data=f"data{i}")
    assert main([str(tmp_path / "outputs")]) == 0
    printed = capsys.readouterr().out
    assert "user_cold: mean ranks by mae over 4 tables" in printed
    values = [[1, 2, 3]] * 3 + [[1, 3, 2]]
    assert f"Friedman: p = {stats.friedmanchisquare(*np.transpose(values)).pvalue:.3f}" in printed
    assert f"ranks {2.343 * np.sqrt(12 / 24):.2f} or more apart differ" in printed
    line = next(line for line in printed.splitlines() if line.lstrip().startswith("random  ") and "/" in line)
    assert line.split()[1:7] == ["2.75", "0", "/", "0", "/", "4"]
    assert "not distinguishable from learner=ridge: item_mean" in printed
