"""What stands under experiments/ keeps up with the configs."""

from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta import build, schema

SWEEPS = sorted((Path(__file__).parents[1] / "experiments" / "sweeps").glob("*.yaml"))


def values(parameter):
    """The ends of a range, or all that is listed."""
    if "value" in parameter:
        return [parameter["value"]]
    return parameter.get("values") or [parameter["min"], parameter["max"]]


def typed(value):
    """As W&B's agent types it."""
    return str(value)


@pytest.mark.parametrize("path", SWEEPS, ids=lambda path: path.stem)
def test_every_value_of_a_wandb_sweep_makes_a_run(path):
    sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert sweep["command"] == ["${env}", "python", "-m", "recmeta", "${args_no_hyphens}"]
    assert sweep["metric"] == {"name": "validation/value", "goal": "minimize"}
    space = {key: values(parameter) for key, parameter in sweep["parameters"].items()}
    first = {key: some[0] for key, some in space.items()}
    points = [first | {key: value} for key, some in space.items() for value in some]
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        for point in points:
            config = compose("config", [f"{key}={typed(value)}" for key, value in point.items()])
            build.build(OmegaConf.to_container(config, resolve=True))


def test_there_are_sweeps():
    assert SWEEPS
