"""Each Python has its set of versions; a checkout runs without being installed; Hydra 1.4 gives the numbers of 1.3."""

import re
import subprocess
import sys
import sysconfig
import tomllib
import venv
from pathlib import Path

import polars as pl
import pytest
from packaging.requirements import Requirement
from packaging.version import Version

ROOT = Path(__file__).parent.parent
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
PYTHONS = re.findall(r"Python :: (3\.\d+)", "\n".join(PROJECT["classifiers"]))
LIBRARIES = Path(sysconfig.get_path("purelib"))
HYDRA = "1.4.0rc3"


def recmeta(*typed, python=(sys.executable,), **environment):
    """Run a command line in the checkout."""
    environment = {**environ(), **environment}
    return subprocess.run([*python, "-m", "recmeta", *typed], cwd=ROOT, env=environment, capture_output=True, text=True)


def environ():
    """The environment, less what would find another copy of recmeta."""
    import os

    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


@pytest.mark.parametrize("python", PYTHONS)
def test_each_python_has_its_set(python):
    lines = (ROOT / f"constraints/python{python}.txt").read_text("utf-8").splitlines()
    names = [line for line in lines if not line.startswith("#")]
    assert all(re.fullmatch(r"[a-z0-9-]+==[0-9][0-9a-z.]*", line) for line in names), "names and versions alone"
    assert names == sorted(names)
    there = dict(line.split("==") for line in names)
    for text in PROJECT["dependencies"] + PROJECT["optional-dependencies"]["dev"]:
        needed = Requirement(text)
        assert needed.specifier.contains(Version(there[needed.name]), prereleases=True), text


@pytest.mark.slow
def test_a_checkout_that_is_not_installed_runs(small, tmp_path):
    libraries = tmp_path / "libraries"
    libraries.mkdir()
    for path in LIBRARIES.iterdir():
        if not path.name.lstrip("_").startswith("recmeta"):
            (libraries / path.name).symlink_to(path)
    bare = (sys.executable, "-S")  # no site-packages, and none of its .pth files
    lacks = "from importlib.metadata import packages_distributions as there; assert 'recmeta' not in there()"
    subprocess.run([*bare, "-c", lacks], env=environ() | {"PYTHONPATH": str(libraries)}, cwd=tmp_path, check=True)
    typed = ["-m", "hydra/launcher=fused", *small, "seeds=[0],[1]", f"output={tmp_path}"]
    ended = recmeta(*typed, python=bare, PYTHONPATH=str(libraries))
    assert ended.returncode == 0, ended.stderr
    assert len(list(tmp_path.rglob("summary.json"))) == 2


@pytest.mark.slow
def test_hydra_1_4_runs_without_a_warning_to_the_same_numbers(small, tmp_path):
    """A lone run and a fused sweep, with Hydra 1.4 in an environment of its own. Needs a package index."""
    venv.create(tmp_path / "venv", with_pip=True)
    (own,) = (tmp_path / "venv").glob("lib/python*/site-packages")
    (own / "others.pth").write_text(str(LIBRARIES))
    python = str(tmp_path / "venv/bin/python")
    subprocess.run([python, "-m", "pip", "install", "--quiet", f"hydra-core=={HYDRA}"], check=True)
    asked = "from importlib.metadata import version; print(version('hydra-core'))"
    assert subprocess.run([python, "-c", asked], capture_output=True, text=True).stdout.strip() == HYDRA
    lone, sweep = ("learner=maml",), ("-m", "hydra/launcher=fused", "learner=ridge", "learner.level_scale=0.4,0.8")
    found = {}
    for name, how in (("1.3", (sys.executable,)), ("1.4", (python, "-W", "error"))):
        for typed in (lone, sweep):
            ended = recmeta(*small, *typed, f"output={tmp_path / name}", python=how)
            assert (ended.returncode, ended.stderr) == (0, "")
        scores = sorted((tmp_path / name).rglob("task_scores.parquet"))
        found[name] = {path.parent.name: pl.read_parquet(path) for path in scores}
    assert len(found["1.3"]) == 3
    assert found["1.3"].keys() == found["1.4"].keys(), "the same hashes"
    for run, scores in found["1.3"].items():
        assert scores.equals(found["1.4"][run])
    tests = subprocess.run([python, "-m", "pytest", "-n0", "tests/sweeps/test_composing.py"], cwd=ROOT)
    assert tests.returncode == 0
