"""docs/your-data.md, followed to the letter: its files are written, its commands run, and they say what it shows."""

import re
import shlex
from pathlib import Path

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

import recmeta
from recmeta.config import schema
from recmeta.config.components import component
from recmeta.datasets import __main__ as command
from recmeta.experiment import run as experiment

PAGE = (Path(recmeta.__file__).parents[1] / "docs" / "your-data.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
SMALL = (
    "learner=none", "reporter=quiet", "protocol.episodes.shots=[0,3]", "baselines=[global_mean]",
)  # fmt: skip


def examples() -> list[tuple[list[str], list[str]]]:
    """Each command of the page, with the lines of the block after "says"."""
    found = []
    for place, (language, block) in enumerate(BLOCKS):
        if not language and block.startswith("python -m "):
            (line,) = block.splitlines()
            after = BLOCKS[place + 1][1] if place + 1 < len(BLOCKS) else ""
            said = [] if after.startswith("python -m ") or "describe" not in line else after.splitlines()
            found.append((shlex.split(line)[2:], said))
    return found


DESCRIBED = [(typed[2:], said) for typed, said in examples() if typed[0] == "recmeta.datasets"]
RUN = [typed[1:] for typed, _ in examples() if typed[0] == "recmeta"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The folder in which the page's Python wrote its files."""
    place = tmp_path_factory.mktemp("page")
    (code,) = (block for language, block in BLOCKS if language == "python")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(place)
        exec(compile(code, "docs/your-data.md", "exec"), {})
    return place


def composed(typed) -> dict:
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        plain = OmegaConf.to_container(compose("config", typed), resolve=True)
    assert isinstance(plain, dict)
    return {str(key): value for key, value in plain.items()}


def test_there_are_five_examples_each_described_and_run():
    assert len(DESCRIBED) == 6
    assert len(RUN) == 5


@pytest.mark.parametrize(("typed", "said"), DESCRIBED[1:], ids=lambda value: value[0][:30])
def test_descriptions_say_what_the_page_shows(folder, monkeypatch, capsys, typed, said):
    monkeypatch.chdir(folder)
    assert command.main(["describe", *typed]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert said
    assert [line for line in said if line not in printed] == []


def test_the_first_look_at_a_file_proposes_its_columns(folder, monkeypatch, capsys):
    monkeypatch.chdir(folder)
    assert command.main(["describe", *DESCRIBED[0][0]]) == 2
    proposed = "perhaps dataset.columns.user=userId dataset.columns.item=movieId dataset.columns.label=rating"
    assert proposed in capsys.readouterr().err


def test_shown_lines_are_in_the_files(folder):
    shown = ["userId,movieId,rating,timestamp", "movieId,title,year,genres", '000\tIn "The Action of 1950, nobody is']
    for line in shown:
        assert line in PAGE
        assert any(line in path.read_text(encoding="utf-8") for path in folder.glob("*.[ct]sv"))


@pytest.mark.parametrize("typed", RUN, ids=lambda typed: typed[1][-30:])
def test_commands_load_their_data(folder, monkeypatch, typed):
    monkeypatch.chdir(folder)
    load = component("dataset", composed(typed)["dataset"], ())
    assert load is not None
    data = load()
    assert len(data.users.ids) == 60
    assert data.counts["duplicates"] == 0


@pytest.mark.slow
@pytest.mark.parametrize("typed", RUN, ids=lambda typed: typed[1][-30:])
def test_commands_run(folder, monkeypatch, tmp_path, typed):
    """Beside what the quick test loads: cleaning, protocol and metrics go with the data."""
    monkeypatch.chdir(folder)
    summary = experiment.run(composed([*typed, *SMALL, f"output={tmp_path}"]), typed)
    assert summary["scores"]
