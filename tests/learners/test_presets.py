"""Learners and experiments that are settings of another."""

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import schema, versions


def composed(*typed):
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        return OmegaConf.to_container(compose("config", list(typed)), resolve=True)


PRESETS = {"fomaml": {"first_order": True}, "anil": {"adapts": "head"}, "boil": {"adapts": "body"}}


@pytest.mark.parametrize(("preset", "setting"), PRESETS.items())
def test_maml_and_one_setting(preset, setting):
    assert composed(f"learner={preset}")["learner"] == composed("learner=maml")["learner"] | setting


def test_tuned_melu_is_official_melu_with_other_rates():
    official, tuned = composed("experiment=melu_official"), composed("experiment=melu_tuned")
    assert official["learner"]["inner_rate"] == 5e-6
    assert tuned["learner"] == official["learner"] | {"inner_steps": 5, "inner_rate": 0.01}
    assert tuned["optimizer"] == official["optimizer"] | {"learning_rate": 0.001}
    same = [key for key in official if key not in ("learner", "optimizer", "steps")]
    assert {key: official[key] for key in same} == {key: tuned[key] for key in same}
    assert tuned["protocol"]["_target_"] == "recmeta.protocols.melu"
