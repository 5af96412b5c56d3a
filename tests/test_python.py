"""From Python: what the command line does, with components as objects, and results as a table."""

import json
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

import recmeta
from recmeta.learners.ridge import ridge
from recmeta.types import UserError
from tests.command import call


@pytest.fixture(scope="module")
def done(small, tmp_path_factory):
    return recmeta.run(*small, output=str(tmp_path_factory.mktemp("door")), name="one", seeds=[0, 1])


def test_a_run_is_that_of_the_command_line(done, small, tmp_path, monkeypatch):
    assert call(monkeypatch, *small, f"output={tmp_path}", "name=one", "seeds=[0,1]") == 0
    (path,) = tmp_path.rglob("summary.json")
    same = json.loads(path.read_text())
    assert same["scores"] == done.summary["scores"]
    assert path.parent.name == done.directory.name
    assert set(done.scores["seed"].unique()) >= {0, 1}


def test_a_component_is_what_a_yaml_of_it_is(done, small, capsys):
    """Found by its module and name: the same run, which is done already."""
    settings = {key: value for key, value in done_config(done)["learner"].items() if not key.startswith("_")}
    rest = [text for text in small if not text.startswith("learner=")]
    again = recmeta.run(
        *rest, learner=partial(ridge, **settings), output=str(done.directory.parents[1]), name="one", seeds=[0, 1],
        reporter="console",
    )  # fmt: skip
    assert "already done" in capsys.readouterr().out
    assert again.directory == done.directory


def done_config(done):
    import yaml

    return yaml.safe_load((done.directory / "config.yaml").read_text())


@pytest.mark.parametrize(
    ("parts", "message"),
    [
        ({"learner": lambda **settings: None}, "learner: give a function of a module"),
        ({"learner": partial(ridge, 1.0)}, "learner: name each setting of recmeta.learners.ridge"),
        ({"teacher": ridge}, "teacher: no such group"),
        ({"learner": "none_such"}, "none_such"),
        ({"steps": -1}, "steps"),
    ],
)
def test_what_is_wrong_is_a_line_and_writes_nothing(small, tmp_path, parts, message):
    with pytest.raises((UserError, Exception), match=message):
        recmeta.run(*small, output=str(tmp_path / "out"), **parts)
    assert not (tmp_path / "out").exists()


def test_results_as_a_frame(done):
    frame = recmeta.results.frame(done.directory.parents[1])
    assert set(frame["method"]) == {"ridge", "global_mean"}
    row = frame.filter(method="ridge", metric="mae").row(0, named=True)
    scores = done.scores.filter(method="model", shots=3)
    assert row["mean"] == pytest.approx(done.summary["scores"]["user_cold"]["model"]["mae"]["mean"])
    assert np.isclose(row["mean"], scores["mae"].mean())
    assert row["low"] < row["mean"] < row["high"]
    assert (row["dataset"], row["learner"], row["goal"]) == ("synthetic", "ridge", "min")
    with pytest.raises(UserError, match="no such path"):
        recmeta.results.frame("nowhere")


def test_importing_it_imports_no_library():
    code = "import sys, recmeta; print(sorted({'jax', 'flax', 'hydra', 'polars', 'numpy', 'wandb'} & set(sys.modules)))"
    ended = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert ended.stdout.strip() == "[]"
    assert "run" in dir(recmeta)
