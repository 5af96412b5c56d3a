"""The block of settings that protocols share, and what it takes to add one to it (docs/add-a-component.md)."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

import recmeta

ROOT = Path(recmeta.__file__).parents[1]
PROTOCOLS = ("user_cold", "matrix", "temporal")
EDITS = {
    "conf/shared/episodes.yaml": (
        "query: 5 # rows per query",
        "query: 5 # rows per query\nfloor: 1 # fewest query rows",
    ),
    "recmeta/protocols/episodes.py": (
        "    negatives: NegativeSampling = NegativeSampling()\n\n\nclass EpisodePlan",
        "    negatives: NegativeSampling = NegativeSampling()\n    floor: Count = 1\n\n\nclass EpisodePlan",
    ),
    "recmeta/protocols/plan.py": (
        "most, query = episodes.support, episodes.settings.query",
        "most, query = episodes.support, max(episodes.settings.query, episodes.settings.floor)",
    ),
}
"""The docs' recipe for a setting ``floor``: a file, and what is put in the place of what."""

USE = """
import sys
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf
from recmeta.config import components, schema, versions
from recmeta.datasets.synthetic import synthetic
from recmeta.types import UserError
schema.register()
data = synthetic(users=600, items=60, rank=2, per_user=(20, 24), seed=1)
for protocol in sys.argv[1:]:
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        for floor in (1, 7, 0):
            typed = [f"protocol={protocol}", f"protocol.episodes.floor={floor}", "protocol.episodes.query=1",
                     "protocol.episodes.shots=[0,1]"]
            block = OmegaConf.to_container(compose("config", typed).protocol)
            try:
                print(components.component("protocol", block, ("interactions",))(data).validation.label.shape[1])
            except UserError as error:
                print(error)
"""


@pytest.mark.slow  # buys: the docs' recipe works as written, in a tree of its own
def test_a_setting_is_added_in_three_files(tmp_path):
    for folder in ("recmeta", "conf"):
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for name, (old, new) in EDITS.items():
        text = (tmp_path / name).read_text(encoding="utf-8")
        assert text.count(old) == 1, name
        (tmp_path / name).write_text(text.replace(old, new), encoding="utf-8")
    assert len(EDITS) == 3
    command = [sys.executable, "-c", USE, *PROTOCOLS]
    environment = os.environ | {"PYTHONPATH": str(tmp_path)}
    done = subprocess.run(command, cwd=tmp_path, env=environment, capture_output=True, text=True, check=True)
    refused = "protocol.episodes.floor=0: input should be greater than or equal to 1"
    assert done.stdout.splitlines() == ["1", "7", refused] * len(PROTOCOLS)
