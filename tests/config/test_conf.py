"""Every yaml of every group composes, is built, and says everything its component needs."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import schema
from recmeta.config.parts import make_parts

EVERY = [(group, choice) for group in schema.GROUPS for choice in schema.choices(group)]


def composed(*overrides: str):
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        return OmegaConf.to_container(compose("config", list(overrides)), resolve=True, throw_on_missing=True)


def test_groups_are_the_folders():
    assert {path.name for path in schema.CONF.iterdir() if path.is_dir()} - {"experiment", "hydra"} == set(
        schema.GROUPS
    )


@pytest.mark.parametrize(("group", "choice"), EVERY)
def test_builds(group, choice):
    config = composed(f"{group}={choice}")
    parts = make_parts(config)
    if group == "reporter":
        assert len(parts.reporters) == len(config["reporter"])
    else:
        assert (getattr(parts, group) is None) == (choice == "none" and group in ("learner", "augmentation"))


@pytest.mark.parametrize(("group", "choice"), [pair for pair in EVERY if pair[0] not in ("cleaning", "reporter")])
def test_conventions(group, choice):
    block = composed(f"{group}={choice}")[group]
    if block["_target_"] is not None:
        assert block["_partial_"] is True
        assert block["_convert_"] == "all"


@pytest.mark.parametrize("preset", schema.choices("experiment"))
def test_presets_build(preset):
    make_parts(composed(f"experiment={preset}"))
