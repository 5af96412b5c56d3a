"""Every yaml of every group composes, is built, and says everything its component needs."""

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import schema, versions
from recmeta.config.components import MAY_BE_NONE
from recmeta.config.parts import make_parts
from recmeta.learners.adaptation.inner import Inner
from recmeta.protocols.candidates import CandidateRule
from recmeta.protocols.episodes import Episodes, NegativeSampling

EVERY = [(group, choice) for group in schema.GROUPS for choice in schema.choices(group)]


def composed(*overrides: str):
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        return OmegaConf.to_container(compose("config", list(overrides)), resolve=True, throw_on_missing=True)


def test_groups_are_the_folders():
    folders = {path.name for path in schema.CONF.iterdir() if path.is_dir()}
    assert folders - {"experiment", "suite", "hydra", "shared"} == set(schema.GROUPS)


def test_shared_blocks_are_no_choices():
    """They are laid into choices of groups, and stand in a folder of their own."""
    shared = {path.stem for path in (schema.CONF / "shared").iterdir()}
    assert shared == {"candidates", "episodes", "inner", "negatives"}
    assert not shared & {choice for _, choice in EVERY}


@pytest.mark.parametrize(("block", "kind"), [
    ("protocol.episodes", Episodes), ("protocol.candidates", CandidateRule), ("learner.inner", Inner),
    ("protocol.episodes.negatives", NegativeSampling),
])  # fmt: skip
def test_a_shared_block_has_the_fields_and_the_defaults_of_its_type(block, kind):
    """So that a protocol called from Python does what the command line does."""
    path = schema.CONF / "shared" / f"{block.rpartition('.')[2]}.yaml"
    written = yaml.safe_load(path.read_text(encoding="utf-8"))
    written.pop("defaults", None)
    nested = {"negatives"} & set(kind._fields)
    assert set(written) | nested == set(kind._fields)
    own = {"shots", "query", "validation_draws"}  # the protocols' own choice
    assert {key: value for key, value in written.items() if key not in own} == {
        key: value for key, value in kind._field_defaults.items() if key not in own | nested
    }


@pytest.mark.parametrize(("group", "choice"), EVERY)
def test_builds(group, choice):
    config = composed(f"{group}={choice}")
    parts = make_parts(config)
    if group == "reporter":
        assert len(parts.reporters) == len(config["reporter"])
    else:
        assert (getattr(parts, group) is None) == (choice == "none" and group in MAY_BE_NONE)


@pytest.mark.parametrize(("group", "choice"), [pair for pair in EVERY if pair[0] not in ("cleaning", "reporter")])
def test_conventions(group, choice):
    block = composed(f"{group}={choice}")[group]
    if block["_target_"] is not None:
        assert block["_partial_"] is True
        assert block["_convert_"] == "all"


@pytest.mark.parametrize("table", schema.choices("suite"))
def test_every_table_of_the_suite_builds(table):
    """With what is common to all, at the support sizes that are reported."""
    config = composed("experiment=suite", f"suite={table}", "learner=ridge")
    make_parts(config)
    assert config["protocol"]["episodes"]["shots"] == [5, 20]
    assert config["baselines"] == []
    assert config["metric"] == config["metrics"][0]


def test_the_suite_sweeps_over_all_its_tables_and_makes_the_panel_beside():
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        made = compose("config", ["experiment=suite"], return_hydra_config=True).hydra
    assert made.mode.name == "MULTIRUN"
    assert sorted(made.sweeper.params.suite.split(",")) == schema.choices("suite")
    assert made.launcher.beside[0] == "learner=none"
    beside = composed("experiment=suite", *made.launcher.beside)
    assert beside["baselines"] == composed("experiment=panel")["baselines"]


@pytest.mark.parametrize("preset", schema.choices("experiment"))
def test_presets_build(preset):
    make_parts(composed(f"experiment={preset}"))
