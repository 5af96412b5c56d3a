"""A run that begins with what another selected, from config to summary."""

import json
import shutil

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import schema, versions
from recmeta.experiment import run as experiment
from recmeta.runs import directory as run_directory
from recmeta.runs import layout
from recmeta.training import checkpoint, warm_start
from recmeta.types import UserError

JOINT = ("learner=joint", "name=joint", "seeds=[5,3]")
INNER = ("learner.inner_steps=1", "learner.inner_rate=0.1")  # maml and finetune adapt alike
MAML = ("learner=maml", "name=maml", "start=joint", "freeze=[tables]", *INNER, "seeds=[3]")
FINETUNE = (
    "learner=finetune", "name=finetune", "start=maml", "freeze=[tables,encoder,scorer]", "steps=1", "eval_every=1",
    *INNER, "seeds=[3]",
)  # fmt: skip


@pytest.fixture(scope="module")
def runs(small, tmp_path_factory):
    """``runs(*overrides)``: a resolved config of a small run; all into one folder."""
    output = tmp_path_factory.mktemp("outputs")

    def make(*overrides):
        schema.register()
        with initialize_config_dir(str(schema.CONF), **versions.BASE):
            composed = compose("config", [*small, f"output={output}", "optimizer.learning_rate=0.1", *overrides])
        return OmegaConf.to_container(composed, resolve=True)

    return make


@pytest.fixture(scope="module")
def joint(runs):
    config = runs(*JOINT)
    return experiment.run(config, []), run_directory.place(config)


def selected(directory):
    return warm_start.read(str(directory), "nowhere").params


def leaves(params, part):
    return {name: value for name, value in params.items() if name.startswith(f"['{part}']")}


def test_joint_then_maml_with_its_tables_then_finetuned(runs, joint):
    """Tables are those of the same seed's joint run, bit for bit, the scorer is another; then nothing moves at all."""
    _, before = joint
    config = runs(*MAML)
    summary = experiment.run(config, [])
    assert set(summary["hashes"]) == {"config", "data", "protocol", "code", "start"}
    old, new = selected(before), selected(run_directory.place(config))
    assert set(old) == set(new)
    for name, value in leaves(new, "tables").items():
        np.testing.assert_array_equal(value[0], old[name][1])  # seeds=[5,3]
        assert np.abs(value[0] - old[name][0]).max() > 0.1
    assert max(np.abs(value[0] - old[name][1]).max() for name, value in leaves(new, "scorer").items()) > 0.01

    last = runs(*FINETUNE)
    tuned = experiment.run(last, [])
    same = selected(run_directory.place(last))
    for name, value in new.items():
        np.testing.assert_array_equal(same[name], value)
    # Of one and the same start, before its first step and after it.
    np.testing.assert_allclose(
        tuned["adaptation"]["user_cold"]["mae"], summary["adaptation"]["user_cold"]["mae"], rtol=1e-6
    )


def test_what_a_learner_has_of_its_own_begins_afresh_and_that_is_said(runs, joint):
    config = runs("learner=maml_pp", "name=pp", "start=joint", "seeds=[3]")
    run = experiment.plan(config, [], multirun=False)
    prepared = experiment.prepare(run, *experiment.load(run.parts))
    messages = experiment.status(run, prepared, run.previous).messages
    said = [line for line in messages if line.startswith("start")]
    assert said == [f"start: the parameters that {joint[1]} selected", "start: begin afresh: rates"]
    shapes = {"scorer": prepared.shapes["scorer"]}
    assert warm_start.check(prepared.start, shapes, [3], prepared.hashes)[1:] == [
        "start: not used here: encoder, tables"
    ]


def test_a_start_that_changed_is_noticed(runs, joint):
    config = runs("learner=joint", "name=again", "start=joint", "seeds=[5]")
    experiment.run(config, [])
    path = joint[1] / "summary.json"
    text = path.read_text()
    summary = json.loads(text)
    summary["hashes"]["code"] = "another"
    try:
        path.write_text(json.dumps(summary))
        with pytest.raises(UserError, match="holds a run of another start: the run that it begins with changed since"):
            experiment.run(config, [])
    finally:
        path.write_text(text)
    assert experiment.run(config, [])["status"] == "complete"  # skipped


@pytest.mark.parametrize(
    ("overrides", "said"),
    [
        (("start=nothing",), "start=nothing: there is no finished run; give a run directory, or the name of a run"),
        (("protocol.seed=1",), "is a run on another split of the data"),
        (("dataset.seed=1",), "is a run on other data"),
        (("seeds=[3,4]",), r"has no seeds=\[4\]; it has seeds=\[5, 3\]"),
        (("encoder.width=3",), r"start: encoder.context.linear.2 is \[1, 2, 4\] in .* and \[1, 2, 3\] here; encoder,"),
        (("freeze=[rates]",), "freeze=rates: no such part of the parameters; there are"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_and_nothing_written(runs, joint, overrides, said):
    config = runs("learner=joint", "name=refused", "start=joint", "seeds=[5]", *overrides)
    with pytest.raises(UserError, match=said):
        experiment.run(config, [])
    assert not run_directory.place(config).exists()


def test_a_name_that_holds_several_runs_and_a_run_without_parameters(runs, joint, tmp_path):
    for name in ("a", "b"):
        shutil.copytree(joint[1], tmp_path / "two" / name)
    with pytest.raises(UserError, match=r"two holds 2 runs; name one, as start=.*two/a"):
        warm_start.find("two", str(tmp_path))
    assert warm_start.find(str(tmp_path / "two" / "b"), "nowhere") == tmp_path / "two" / "b"
    shutil.rmtree(tmp_path / "two" / "a" / "checkpoints")
    with pytest.raises(UserError, match="no checkpoint can be read in"):
        warm_start.read(str(tmp_path / "two" / "a"), "nowhere")


def test_all_arrays_of_a_checkpoint_are_read(joint):
    stored = checkpoint.read(joint[1] / layout.CHECKPOINTS)
    assert stored[".state.step"].tolist() == [4, 4]
    assert {name.split("[")[0].split(".")[1] for name in stored} == {"state", "best"}
