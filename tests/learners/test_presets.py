"""Learners and experiments that are settings of another, and the names that tables print of them."""

from functools import partial

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import schema, versions
from recmeta.config.components import component
from recmeta.encoders.features import features
from recmeta.experiment.prepare import departures
from recmeta.models.model import make_model
from recmeta.objectives import mse
from recmeta.results.labels import called, choice
from recmeta.scorers.mlp import mlp


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


PRINTED = {
    "learner=maml": "maml (head)",
    "learner=maml learner.adapts=all": "maml",
    "learner=anil": "maml (head)",
    "learner=boil": "maml (body)",
    "learner=fomaml learner.adapts=all": "maml (first order)",
    "learner=maml learner.adapts={lora:8}": "maml (lora)",
    "learner=meta_sgd": "meta_sgd (head)",
    "learner=meta_sgd learner.adapts=all": "meta_sgd",
    "learner=imaml": "imaml (head)",
    "learner=maml_pp": "maml_pp (head)",
    "learner=meta_curvature": "meta_curvature (head)",
    "learner=reptile": "reptile (adam outside)",
    "learner=reptile optimizer=sgd": "reptile",
    "learner=reptile optimizer=sgd learner.inner_batch=null learner.adapts=head": "reptile (head, all rows a step)",
    "learner=balanced learner.adapts=all": "balanced (by support size alone)",
    "learner=mamo": "mamo (memories of the head, learned)",
    "learner=protonet": "protonet",
    "learner=protonet learner.loss=objective": "protonet (regression)",
    "learner=matching learner.values=label": "matching",
    "learner=matching learner.values=residual": "matching (regression, residuals)",
    "learner=matching learner.values=label learner.loss=objective": "matching (regression)",
    "learner=relation": "relation (regression)",
    "learner=tanp": "tanp (beside a scorer)",
    "learner=tanp learner.context_loss=false": "tanp (beside a scorer, no loss on the support)",
    "learner=tanp learner.samples=0": "tanp (beside a scorer, no draws)",
    "learner=cnp": "cnp (beside a scorer, no variance)",
    "experiment=coldnas": "hyper (film)",
    "experiment=melu_official": "maml (head)",
    "learner=ridge": "ridge",
    "learner=finetune": "finetune",
}
"""What is typed, and the name that tables print."""


@pytest.mark.parametrize("typed", PRINTED)
def test_a_name_is_its_papers_or_says_what_differs(problem, typed):
    config = composed(*typed.split(" "))
    make = component("learner", config["learner"], ("spec", "model", "objective"))
    model = make_model(partial(features, width=2), partial(mlp, hidden=(3,)), problem.spec, mse())
    learner = make(spec=problem.spec, model=model, objective=mse())
    assert called(choice(config["learner"]), departures(learner, config)) == PRINTED[typed]
