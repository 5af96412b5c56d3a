"""Which files the components of a config are made of."""

import sys

import pytest

from recmeta.config import sources

FILES = {
    "mine_own.py": "from mine_package.inner import part\nimport json, numpy\n\ndef made(): ...\n",
    "mine_package/__init__.py": "",
    "mine_package/inner.py": "from . import beside\nfrom recmeta.types import UserError\npart = beside.value\n",
    "mine_package/beside.py": "value = 1\n",
    "mine_other.py": "def made(): ...\n",
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    for name, text in FILES.items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    monkeypatch.syspath_prepend(str(tmp_path))
    sources._with_imports.cache_clear()
    yield tmp_path
    for name in [name for name in sys.modules if name.startswith("mine_")]:
        del sys.modules[name]


def test_a_targets_file_and_what_it_imports_of_ones_own(folder):
    found = sources.component_files({"learner": {"_target_": "mine_own.made"}})
    assert set(found) == set(FILES) - {"mine_other.py"}
    assert found["mine_package/beside.py"] == folder / "mine_package" / "beside.py"


def test_targets_are_found_however_deep():
    config = {
        "learner": {"_target_": "recmeta.learners.maml", "inner": {"optimizer": {"_target_": "mine_other.made"}}},
        "metrics": ["mae", {"_target_": "mine_own.made", "k": 5}],
    }
    assert {"mine_other.py", "mine_own.py"} <= set(sources.component_files(config))


def test_what_is_recmetas_or_jaxs_or_changes_no_number_is_left_out():
    config = {
        "learner": {"_target_": "recmeta.learners.maml"}, "optimizer": {"_target_": "optax.adam"},
        "reporter": {"mine": {"_target_": "mine_other.made"}}, "encoder": {"_target_": None},
    }  # fmt: skip
    assert sources.component_files(config) == {}


def test_a_target_in_an_installed_package_is_one_file():
    assert list(sources.component_files({"scorer": {"_target_": "polars.functions.lit.lit"}})) == [
        "polars/functions/lit.py"
    ]
