import inspect
from pathlib import Path

import hydra.utils
import pytest
from omegaconf import OmegaConf

CONF = Path(__file__).parents[2] / "conf" / "dataset"


@pytest.mark.parametrize("name", ["ml_100k", "synthetic", "table"])
def test_a_yaml_states_every_setting_at_its_default(name):
    config = OmegaConf.load(CONF / f"{name}.yaml")
    partial = hydra.utils.instantiate(config)
    defaults = {key: value.default for key, value in inspect.signature(partial.func).parameters.items()}
    given = {key: tuple(value) if isinstance(value, list) else value or None for key, value in partial.keywords.items()}
    assert partial.func.__name__ == name
    if name == "table":
        assert given.pop("columns") == {"user": "user", "item": "item", "label": "label", "time": None}
        defaults.pop("columns")
    assert {key: value or None for key, value in defaults.items()} == given
