"""Help explains every setting: by the yaml's comment or the docstring, with its range."""

import re
from itertools import pairwise

import pytest

from recmeta.config import help, schema
from recmeta.config.help import arguments, comments, described


def test_help_of_all_fits_two_screens_and_names_every_choice():
    lines = list(help.page([], 100))
    text = " ".join(" ".join(lines).split())
    assert len(lines) <= 70
    assert max(map(len, lines)) <= 120
    for group in schema.GROUPS:
        for choice in schema.choices(group):
            assert choice in text
    for key in ("seeds=[0]", "steps=1000", "patience=10", "force=false", "--version", "-sc install=bash"):
        assert key in text
    assert "outer steps between meta-validations" in text


def test_help_of_a_choice_has_every_setting_with_its_range():
    lines = list(help.page(["learner=maml", "learner.inner_rate=0.25"], 100))
    text = " ".join(" ".join(lines).split())
    assert "learner.inner_rate=0.25 their size [above 0]" in text
    assert "learner.inner_steps=5 gradient steps on the support [a whole number, 0 or more]" in text
    assert "learner.inner.clip=null the norm above which" in text
    assert "learner.adapts=head head | body | all" in text
    assert "protocol." not in text.partition("other groups")[0]


def test_every_setting_of_every_choice_is_explained():
    """By a comment, an argument's meaning or its range; the width of a table is no matter."""
    silent = []
    for group in ("learner", "encoder", "scorer", "protocol", "optimizer", "cleaning", "augmentation"):
        for choice in schema.choices(group):
            lines = [*help.page([f"{group}={choice}"], 10_000), ""]
            for line, following in pairwise(lines):
                if re.fullmatch(rf"  {group}\.[\w.]+=\S+", line) and not following.startswith(" " * help.COLUMN):
                    silent.append(line.strip())
    assert not silent


@pytest.mark.parametrize("typed", [["learner=mamll"], ["learner.foo=1"]])
def test_wrong_overrides_are_refused(typed):
    from hydra.errors import HydraException
    from omegaconf.errors import OmegaConfBaseException

    with pytest.raises((HydraException, OmegaConfBaseException)):
        list(help.page(typed, 80))


def test_comments_are_read_at_any_depth_and_through_includes(tmp_path, monkeypatch):
    monkeypatch.setattr(schema, "CONF", tmp_path)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared" / "inner.yaml").write_text("clip: null # the norm; null: never\n")
    path = tmp_path / "maml.yaml"
    path.write_text(
        "# A head.\ndefaults:\n  - /shared/inner@inner\n  - _self_\n\nrate: 0.1 # above 0\n"
        "block: # of settings\n  sep: '#' # between values\n  plain: 3\nlast: [a, b] # names\n"
    )
    assert comments(path) == {
        "inner.clip": "the norm; null: never",
        "rate": "above 0",
        "block": "of settings",
        "block.sep": "between values",
        "last": "names",
    }
    assert help.heading(path) == ["A head."]


def test_meanings_of_arguments():
    def made(rate, low, high):
        """Make it.

        Args:
            rate: their size,
                in steps.
            low, high: the range.

        Returns:
            Nothing.
        """

    assert arguments(made) == {"rate": "their size, in steps", "low": "the range", "high": "the range"}


def test_what_annotations_say():
    from typing import Annotated

    from annotated_types import Ge, Lt

    assert described(tuple[Annotated[int, Ge(1)], ...]) == "a list, each a whole number, 1 or more"
    assert described(Annotated[float, Ge(0), Lt(1)] | None) == "0 or more, below 1; or null"
    assert described(bool) == "true | false"
    assert described(None) == ""
