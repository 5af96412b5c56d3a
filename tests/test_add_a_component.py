"""docs/add-a-component.md, followed to the letter in a folder outside of the package."""

import json
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import jax.numpy as jnp
import numpy as np
import pytest

import recmeta
from recmeta.config import compatibility
from recmeta.runs.hashing import file_hash
from recmeta.types import ScoredNegatives
from tests.command import call

PACKAGE = Path(recmeta.__file__).parents[1]
PAGE = PACKAGE / "docs" / "add-a-component.md"


def files() -> dict[str, str]:
    """The files that the page names, each before a block with its content."""
    page = PAGE.read_text(encoding="utf-8")
    return dict(re.findall(r"`([\w/]+\.(?:py|yaml))`:\n\n```(?:python|yaml)\n(.*?)```", page, re.DOTALL))


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder with the page's files, and what its command types."""
    folder = tmp_path_factory.mktemp("elsewhere")
    page = PAGE.read_text(encoding="utf-8")
    for path, content in files().items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(content, encoding="utf-8")
    command = re.search(r"^python -m recmeta (.*)$", page, re.MULTILINE)
    assert command
    return folder, command[1].replace("$PWD", str(folder)).split()


@pytest.fixture
def run(elsewhere, small, monkeypatch):
    """``run(*overrides)``: the page's command with the settings of a small run, and its exit code; in this process, but
    as in one that finds the page's folder on its path and has read no file of it."""
    folder, typed = elsewhere
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(folder)
    rest = [text for text in small if not text.startswith("learner=")]

    def run(*overrides, without=()):
        file_hash.cache_clear()
        kept = [text for text in rest if not text.startswith(without)] if without else rest
        return call(monkeypatch, *typed, *kept, *overrides)

    yield run
    for path in folder.glob("*.py"):
        sys.modules.pop(path.stem, None)


@pytest.mark.slow
def test_it_trains_and_is_judged(elsewhere, small):
    """As it is typed, in a process of its own."""
    folder, typed = elsewhere
    rest = [text for text in small if not text.startswith("learner=")]
    paths = os.pathsep.join(filter(None, (str(PACKAGE), os.environ.get("PYTHONPATH"))))
    ended = subprocess.run(
        [sys.executable, "-m", "recmeta", *typed, *rest], cwd=folder, capture_output=True, text=True,
        env={**os.environ, "PYTHONPATH": paths},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    (path,) = (folder / "outputs" / "main").rglob("summary.json")
    summary = json.loads(path.read_text())
    assert set(summary["scores"]["user_cold"]) == {"model", "global_mean"}
    adaptation = summary["adaptation"]["user_cold"]
    assert adaptation["steps"] == [0, 1]
    unadapted, adapted = (errors for errors in zip(*adaptation["mae"], strict=True))
    assert unadapted[0] == pytest.approx(adapted[0])  # without support
    assert adapted[-1] < unadapted[-1]


def test_its_settings_are_checked(run, capfd):
    assert run("learner.rows=-1") == 2
    assert capfd.readouterr().err.strip() == "recmeta: learner.rows=-1: input should be greater than 0"


def test_a_metric_a_baseline_an_objective_an_augmentation_and_a_schedule(run, elsewhere, capfd):
    """All that the page shows besides, in one run, which is made again once one of them is edited."""
    page = PAGE.read_text(encoding="utf-8")
    sections = page[page.index("## A metric") : page.index("## An encoder")]
    blocks = re.findall(r"^```(\w*)\n(.*?)\n```$", sections, re.MULTILINE | re.DOTALL)
    lines = [block for language, block in blocks if not language and "bpr" not in block]
    typed = [text for line in lines for text in shlex.split(line)]
    assert {text.partition("=")[0] for text in typed} == {
        "metrics", "metric", "baselines", "objective._target_", "augmentation", "schedule"
    }  # fmt: skip
    typed = [text for text in typed if text not in ("metric=sure_hit@2",)]
    typed = [text.replace("metrics=[mae,", "metrics=[mae,auc,") for text in typed]
    assert run(*typed, "name=all") == 0
    folder, _ = elsewhere
    (path,) = (folder / "outputs" / "all").rglob("summary.json")
    summary = json.loads(path.read_text())
    assert set(summary["goals"]) == {"mae", "auc", "sure_hit@2"}
    scores = summary["scores"]["user_cold"]
    assert set(scores) == {"model", "global_mean", "always(share=0.75)"}
    assert scores["global_mean"]["sure_hit@2"]["mean"] == 0
    assert scores["model"]["mae"]["mean"] is None
    assert set(json.loads((path.parent / "provenance.json").read_text())["components"]) == {
        "mine.py", "measures.py", "simple.py", "pairs.py", "noise.py", "warm.py"
    }  # fmt: skip
    (folder / "simple.py").write_text(files()["simple.py"] + "\n# edited\n", encoding="utf-8")
    assert run(*typed, "name=all", "reporter=console") == 0
    said = capfd.readouterr().out.replace("\n", " ")
    assert "simple.py changed since" in said
    assert "already done" not in said


def test_an_encoder_a_scorer_a_data_set_and_an_objective_over_negatives(run, elsewhere, capfd):
    """In one run, which is made again once the data set is edited."""
    page = PAGE.read_text(encoding="utf-8")
    blocks = re.findall(r"^```\n((?:encoder|scorer|dataset|objective)\S*=.*)\n```$", page, re.MULTILINE)
    typed = [text for line in blocks if "pairs" not in line for text in shlex.split(line)]
    typed += ["metrics=[auc]", "learner=maml", "name=parts"]
    others = ("dataset", "encoder", "scorer", "metrics")  # settings of small components that these replace
    assert run(*typed, without=others) == 0
    folder, _ = elsewhere
    (path,) = (folder / "outputs" / "parts").rglob("summary.json")
    summary = json.loads(path.read_text())
    assert 0 <= summary["scores"]["user_cold"]["model"]["auc"]["mean"] <= 1
    provenance = json.loads((path.parent / "provenance.json").read_text())
    assert set(provenance["components"]) == {"frozen.py", "distance.py", "shop.py", "bpr.py"}
    assert provenance["hashes"]["constants"]
    assert any(
        "title" in note and "text" in note for note in provenance["split"]["notes"] + provenance["data"]["notes"]
    )
    assert "embedding" in json.dumps(json.loads(next((path.parent / "features").glob("*.json")).read_text()))
    (folder / "shop.py").write_text(files()["shop.py"] + "\n# edited\n", encoding="utf-8")
    assert run(*typed, "reporter=console", without=others) == 0
    assert "shop.py changed since" in capfd.readouterr().out.replace("\n", " ")


def test_the_pages_objective_over_negatives():
    namespace = {}
    exec(files()["bpr.py"], namespace)
    objective = namespace["bpr"](spec=SimpleNamespace(like=4))
    compatibility.check_objective(objective)
    scores, labels, there = np.array([0.3, -0.2, 1.0]), np.array([5, 1, 4]), np.array([True, True, False])
    negatives = ScoredNegatives(jnp.array([0.1, 2.0]), jnp.zeros(2), jnp.array([True, False]))
    loss = objective.loss(jnp.array(scores), labels, there, negatives=negatives)
    np.testing.assert_allclose(loss, np.log1p(np.exp(-(0.3 - 0.1))), rtol=1e-6)
    np.testing.assert_allclose(objective.loss(jnp.array(scores), labels, there), np.log1p(np.exp(-0.5)), rtol=1e-6)
