"""docs/add-a-component.md, followed to the letter in a folder outside of the package."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

import recmeta

PACKAGE = Path(recmeta.__file__).parents[1]
PAGE = PACKAGE / "docs" / "add-a-component.md"


@pytest.fixture(scope="module")
def run(tmp_path_factory, small):
    """``run(*overrides)``: the page's command in its folder, with the settings of a small run."""
    folder = tmp_path_factory.mktemp("elsewhere")
    page = PAGE.read_text(encoding="utf-8")
    for path, language in (("mine.py", "python"), ("conf/learner/mine.yaml", "yaml")):
        block = re.search(rf"`{re.escape(path)}`:\n\n```{language}\n(.*?)```", page, re.DOTALL)
        assert block, path
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(block[1], encoding="utf-8")
    command = re.search(r"^python -m recmeta (.*)$", page, re.MULTILINE)
    assert command
    typed = command[1].replace("$PWD", str(folder)).split()
    rest = [text for text in small if not text.startswith("learner=")]
    paths = os.pathsep.join(filter(None, (str(PACKAGE), os.environ.get("PYTHONPATH"))))

    def call(*overrides):
        return subprocess.run(
            [sys.executable, "-m", "recmeta", *typed, *rest, *overrides],
            cwd=folder, capture_output=True, text=True, env={**os.environ, "PYTHONPATH": paths},
        ), folder  # fmt: skip

    return call


def test_it_trains_and_is_judged(run):
    ended, folder = run()
    assert ended.returncode == 0, ended.stderr
    (path,) = (folder / "outputs").rglob("summary.json")
    summary = json.loads(path.read_text())
    assert set(summary["scores"]["user_cold"]) == {"model", "global_mean"}
    adaptation = summary["adaptation"]["user_cold"]
    assert adaptation["steps"] == [0, 1]
    unadapted, adapted = (errors for errors in zip(*adaptation["mae"], strict=True))
    assert unadapted[0] == pytest.approx(adapted[0])  # without support
    assert adapted[-1] < unadapted[-1]


def test_its_settings_are_checked(run):
    ended, _ = run("learner.rows=-1")
    assert ended.returncode == 2
    assert ended.stderr.strip() == "recmeta: learner.rows=-1: input should be greater than 0"
