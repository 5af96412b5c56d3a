"""A kind of feature from a folder outside of the package: declared, read, fitted, embedded, saved."""

import json
import sys
from pathlib import Path

import numpy as np
import pytest
from flax import nnx

from recmeta.datasets.table import table
from recmeta.features import transform as transforms
from recmeta.features.kinds import kind_of, sources
from recmeta.models.fields import Fields
from recmeta.runs.hashing import file_hash
from recmeta.types import UserError
from tests.command import call

DOCS = Path(__file__).parents[2] / "docs" / "add-a-component.md"
MINE = DOCS.read_text(encoding="utf-8").partition("`mine_angle.py`:\n\n```python\n")[2].partition("```")[0]
"""The kind that the docs show."""


@pytest.fixture
def mine(tmp_path, monkeypatch):
    """``mine(declared)``: a data set whose users have hours, of the kind in ``mine_angle.py`` beside it."""
    (tmp_path / "mine_angle.py").write_text(MINE)
    monkeypatch.syspath_prepend(tmp_path)
    rng = np.random.default_rng(0)
    rows = "".join(f"u{u},i{i},{rng.integers(1, 6)}\n" for u in range(30) for i in rng.choice(20, 12, replace=False))
    (tmp_path / "rows.csv").write_text("user,item,label\n" + rows)
    hours = "".join(f"u{u},{u % 24 if u else ''}\n" for u in range(30))
    (tmp_path / "users.csv").write_text("user,hour\n" + hours)
    kind_of.cache_clear()
    yield lambda **hour: table(
        interactions=tmp_path / "rows.csv", users=tmp_path / "users.csv", user_features={"hour": hour}
    )
    sys.modules.pop("mine_angle", None)
    kind_of.cache_clear()


def test_a_kind_is_one_file(mine, cut, tmp_path):
    data = mine(kind="mine_angle.angle", period=24)
    problem = cut(data)
    (hour,) = problem.spec.context
    assert (hour.kind, hour.size) == ("mine_angle.angle", 3)
    place = data.users.ids.tolist().index("u6")
    np.testing.assert_allclose(problem.train.contexts["hour"][place], [0, 1, 0], atol=1e-6)
    embed = Fields(problem.spec.context, width=2, rngs=nnx.Rngs(0))
    np.testing.assert_allclose(
        embed({"hour": np.array([[0.0, 1.0, 0.0]])}), embed.linear["3"][...][0, 1][None], rtol=1e-6
    )
    transforms.save(problem.transform, tmp_path / "features")
    loaded = transforms.load(tmp_path / "features")
    np.testing.assert_allclose(loaded.context({"hour": 30})["hour"], [0, 1, 0], atol=1e-6)
    np.testing.assert_array_equal(loaded.context({})["hour"], [0, 0, 1])


def test_its_settings_are_its_own(mine):
    with pytest.raises(UserError, match=r"^dataset.user_features.hour.period=0: must be a number above 0"):
        mine(kind="mine_angle.angle", period=0)
    with pytest.raises(
        UserError, match=r"^dataset.user_features.hour.perod: a mine_angle.angle feature has no such setti"
    ):
        mine(kind="mine_angle.angle", perod=24)


def test_its_file_is_part_of_what_a_run_is_made_of(mine, tmp_path):
    """Edited, it is run again: see tests/experiment/test_run.py."""
    data = mine(kind="mine_angle.angle", period=24)
    assert sources(data) == [tmp_path / "mine_angle.py"]


def test_a_run_trains_on_it_and_is_run_again_once_it_is_edited(mine, small, tmp_path, monkeypatch, capfd):
    """By the page's command, in the folder of the file."""
    mine(kind="mine_angle.angle", period=24)
    monkeypatch.chdir(tmp_path)
    command = DOCS.read_text(encoding="utf-8").partition("-m recmeta dataset=table")[2].partition("```")[0]
    typed = ["dataset=table", *command.replace("\\", "").split(), "encoder=features", "encoder.width=4"]
    typed = [*(text for text in small if not text.startswith(("dataset", "encoder", "reporter"))), *typed]
    assert call(monkeypatch, *typed) == 0
    (folder,) = tmp_path.glob("outputs/main/*")
    saved = json.loads((folder / "features" / "transform.json").read_text())
    assert [feature["kind"] for feature in saved["context"]] == ["mine_angle.angle"]
    (tmp_path / "mine_angle.py").write_text(MINE + "\n# edited\n")
    file_hash.cache_clear()  # as in another process
    assert call(monkeypatch, *typed) == 0
    assert "mine_angle.py changed since" in capfd.readouterr().out.replace("\n", " ")
