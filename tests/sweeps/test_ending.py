"""A sweep numbers its runs, ends with a table of them, and leaves nothing where none could begin."""

import json

import pytest

from recmeta.sweeps import ending
from tests.command import call


@pytest.fixture
def baselines(small):
    """Overrides of a run of the baselines alone, on the console."""
    return [*(text for text in small if not text.startswith(("reporter", "learner"))), "learner=none"]


def test_runs_are_numbered_and_the_end_is_a_table_of_them(baselines, monkeypatch, capfd, tmp_path):
    monkeypatch.setenv("COLUMNS", "100")
    typed = ["-m", *baselines, f"output={tmp_path}", "name=two", "reporter=console", "protocol.seed=0,1"]
    assert call(monkeypatch, *typed) == 0
    lines = capfd.readouterr().out.splitlines()
    assert any(line.startswith("1/2 protocol.seed=0: dataset=synthetic") for line in lines)
    assert any(line.startswith("2/2 protocol.seed=1: dataset=synthetic") for line in lines)
    place = lines.index(f"{tmp_path}/two: 2 runs: 2 done")
    table = "\n".join(lines[place:])
    for number, path in enumerate(sorted((tmp_path / "two").glob("*/summary.json"))):
        assert path.parent.name in table, number
    assert "1/2 protocol.seed=0" in table
    assert " ".join(" ".join(lines[-3:]).split()).endswith(
        f"tables, figures and verdicts: python -m recmeta.results {tmp_path}/two --out report"
    )


def test_a_refused_sweep_leaves_the_line_of_the_one_before(baselines, monkeypatch, capfd, tmp_path):
    typed = ["-m", *baselines, f"output={tmp_path}", "name=two", "reporter=quiet"]
    assert call(monkeypatch, *typed, "protocol.seed=0") == 0
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    for wrong in ("protocol.seed=y,x", "learner=maml,mamll", "dataset.users=-1,-2", "foo=1,2"):
        capfd.readouterr()
        assert call(monkeypatch, *typed, wrong) == 2, wrong
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before, wrong
        assert 1 <= len(capfd.readouterr().err.splitlines()) <= 3


def test_a_refused_sweep_in_a_new_folder_leaves_none(baselines, monkeypatch, tmp_path):
    output = tmp_path / "new"
    assert call(monkeypatch, "-m", *baselines, f"output={output}", "reporter=quiet", "batch=0,-1") == 2
    assert not output.exists()


def test_the_end_of_a_search_is_its_result(tmp_path):
    record = {
        "counts": {"done": 3, "failed": 1}, "seconds": 12.0, "edges": ["learner.rate=1 is the highest"],
        "best": {"number": 2, "value": 0.75, "typed": ["learner.rate=1"]},
    }  # fmt: skip
    (tmp_path / "search.json").write_text(json.dumps(record))
    lines = list(ending.ending(tmp_path, 80))
    assert lines[0] == f"{tmp_path}: 3 done, 1 failed trials, 12 s"
    assert lines[2] == "best by meta-validation: trial 2, 0.7500: learner.rate=1"
    assert lines[-1] == f"python -m recmeta.results {tmp_path} --out report"
