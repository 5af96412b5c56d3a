"""What is typed wrong ends in one line on standard error, exit code 2, and nothing written."""

import json
import os
import subprocess
import sys

import pytest
from hydra.errors import HydraException

from recmeta import cli
from recmeta.__main__ import main
from recmeta.config import schema
from recmeta.config.moved import MOVED
from recmeta.config.schema import Root, kind
from recmeta.experiment import failures

CHOICES = ", ".join(sorted(path.stem for path in (schema.CONF / "learner").glob("*.yaml")))

REFUSED = {
    "learner.foo=1": "learner.foo=1: no such key; learner has level_scale, weight_scale",
    "foo=1": "foo=1: no such key; the config has dataset, ",
    "lerner=maml": "lerner=maml: no such key; the config has dataset, ",
    "reporter.console.x=1": "reporter.console.x=1: no such key; reporter has none",
    "dataset.per_usr=3": "dataset.per_usr=3: no such key; dataset has users, items, rank, per_user, ",
    "+learner.foo=1": "learner.foo: ridge has no such setting; it has level_scale, weight_scale",
    "+optimizer.momentun=1": "optimizer.momentun: adam has no such setting; it has learning_rate, b1, ",
    "~learner.level_scale": "learner.level_scale is missing: ridge needs it",
    "~metric": "metric is missing: leave it as it is, or give it a value",
    "~steps": "steps is missing",
    "learner=mamll": f"learner=mamll: no such choice; there are {CHOICES}",
    "learner=": f"learner=: no such choice; there are {CHOICES}",
    "learner=null": f"learner=null: no such choice; there are {CHOICES}",
    "learner=3": f"learner=3: no such choice; there are {CHOICES}",
    "=3": "=3: no such choice; write key=value",
    "name=;": "name=;: can't be read; a value with such characters needs quotes inside quotes: 'name=\";\"'",
    "name=größe": "name=größe: can't be read; a value with such characters needs quotes inside quotes",
    "learner=[maml,ridge]": "learner=[maml,ridge]: a run has one learner, as learner=maml; for a run of each: -m ",
    "hydra/launcher=fused": "hydra/launcher=fused: it is for sweeps, and this is one run; add -m",
    "learner=none start=x": "start=x: with learner=none nothing is trained that could begin with it",
    "output=": "output is empty: name the folder",
    "protocol.candidates.kind=sampled": "protocol.candidates.number is not set: give how many of the 30 items",
    "steps=[": "steps=[: can't be read (",
    "learner.level_scale": "learner.level_scale: can't be read (",
    "learner=maml,ridge": "Ambiguous value for argument 'learner=maml,ridge'",
    "steps=abc": "steps=abc: must be a whole number",
    "steps=1.5": "steps=1.5: must be a whole number",
    "steps=0": "steps=0: must be at least 1",
    "steps=5": "steps=5 is not a multiple of eval_every=2",
    "steps=???": "Missing mandatory value: steps",
    "steps=${foo}": "Interpolation key 'foo' not found",
    "patience=abc": "patience=abc: must be a whole number or null",
    "patience=0": "patience=0: must be at least 1, or null",
    "clip=0": "clip=0.0: must be above 0, or null for no clipping",
    "schedule=step": "schedule=step: there are constant, linear, cosine",
    "clip=nan": "clip=nan: must be above 0, or null",
    "clip=abc": "clip=abc: must be a number or null",
    "freeze=[table]": "freeze=table: no such part of the parameters; there are",
    "force=maybe": "force=maybe: must be true or false",
    "seeds=0": "seeds=0: must be a list of whole numbers, as [0,1]",
    "seeds=[0,0]": "seeds=[0, 0]: give one or more different whole numbers",
    "seeds=[4294967296]": "seeds=[4294967296]: give one or more different whole numbers from 0 to 4294967295",
    "optimizer.learning_rate=-1": "optimizer.learning_rate=-1: input should be greater than 0",
    "optimizer.learning_rate=nan": "optimizer.learning_rate=nan: must be a finite number",
    "+optimizer.b1=abc": "optimizer.b1=abc: input should be a valid number",
    "+optimizer.b1=2.0": "optimizer.b1=2.0: input should be less than 1",
    "optimizer=adamw optimizer.weight_decay=-1": "optimizer.weight_decay=-1: input should be greater than or equal to",
    "+reporter.x=3": "reporter.x=3: must be a block with a _target_",
    "+reporter.x.mode=a": "reporter.x._target_ is missing",
    "learner._partial_=abc": "learner._partial_ must be true",
    "learner._convert_=abc": "learner._convert_ must be all",
    "encoder._target_=null": "encoder._target_ is missing",
    "output=null": "output=null: must be text",
    "name=a/b": "name=a/b: it names a folder",
    "name=..": "name=..: it names a folder",
    "learner=maml learner.inner_steps=abc": "learner.inner_steps=abc: input should be a valid integer",
    "learner=maml learner.inner_rate=-1": "learner.inner_rate=-1: input should be greater than 0",
    "learner=maml learner.adapts=heads": "learner.adapts=heads: input should be 'head', 'body', 'all', 'bias', 'norm', "
    "'film', 'lora', 'user_embedding' or 'prompt'",
    "protocol.episodes.shots=3": "protocol.episodes.shots=3: input should be a valid list",
    "protocol.episodes.shot=[3]": "protocol.episodes.shot=[3]: no such key; protocol.episodes has",
    "+protocol.episodes.shot=[3]": "protocol.episodes.shot: no such setting; protocol.episodes has shots, query,",
    "protocol.episodes.negatives.number=-1": "protocol.episodes.negatives.number=-1: input should be greater than",
    "protocol.episodes=3": "protocol.episodes=3: must be a block of settings; it has shots, query, train_shots",
    "~protocol.episodes.query": "protocol.episodes.query is missing",
    "protocol.candidates.kind=some": "protocol.candidates.kind=some: input should be 'query', 'full', 'cold', 'avail",
    "learner=maml learner.inner.clip=0": "learner.inner.clip=0: input should be greater than 0",
    "protocol.episodes.shots=[]": "protocol.episodes.shots=[]: list should have at least 1 item",
    "learner.level_scale=null": "learner.level_scale=null: input should be a valid number",
    "learner._target_=recmeta.learners.foo": "learner._target_=recmeta.learners.foo: Error loading",
    "baselines=[foo]": "baselines=foo: no such baseline; there are random, global_mean, ",
    "baselines=global_mean": "baselines=global_mean: must be a list of names",
    "metrics=[mae,foo]": "metric=foo: no such metric; allowed are mae, mae_rounded, rmse, ",
    "metric=nll metrics=[mae,nll]": "metric=nll: methods that predict a number have none, so nothing can be chosen by",
    "metric=rmse": "metric=rmse is not one of metrics=[mae]; add it there",
    "learner=none baselines=[]": "learner=none and baselines=[]: there is nothing to run",
    "objective=bce": "objective: this one needs labels of 0 and 1, and there are labels from",
    "metrics=[mae,ndcg@5]": "metrics=ndcg@5: no task has more than 4 candidates",
}


def refused(monkeypatch, capfd, tmp_path, *typed: str) -> str:
    monkeypatch.setattr(sys, "argv", ["recmeta", f"output={tmp_path / 'out'}", *typed])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capfd.readouterr()
    assert ended.value.code == 2
    assert said.out == ""
    assert not (tmp_path / "out").exists()
    assert said.err.startswith("recmeta: ")
    assert said.err.count("\n") == 1
    return said.err.removeprefix("recmeta: ")


@pytest.mark.parametrize("typed", REFUSED)
def test_refused_in_one_line(typed, small, monkeypatch, capfd, tmp_path):
    assert refused(monkeypatch, capfd, tmp_path, *small, *typed.split()).startswith(REFUSED[typed])


OLD = {
    "protocol.shots=[5]": "protocol.shots is protocol.episodes.shots now",
    "+protocol.shots=[5]": "protocol.shots is protocol.episodes.shots now",
    "protocol.query=5": "protocol.query is protocol.episodes.query now",
    "protocol.train_shots=[5]": "protocol.train_shots is protocol.episodes.train_shots now",
    "protocol.train_query=9": "protocol.train_query is protocol.episodes.train_query now",
    "protocol.headline=3": "protocol.headline is protocol.episodes.headline now",
    "protocol.min_history=9": "protocol.min_history is protocol.episodes.min_history now",
    "protocol.max_history=9": "protocol.max_history is protocol.episodes.max_history now",
    "protocol.validation_draws=1": "protocol.validation_draws is protocol.episodes.validation_draws now",
    "protocol.candidates=full": "protocol.candidates=full is protocol.candidates.kind=full now",
    "protocol.sampled=9": "protocol.sampled is protocol.candidates.number now",
    "learner=maml learner.inner_optimizer=null": "learner.inner_optimizer is learner.inner.optimizer now",
    "learner=reptile learner.clip=1.0": "learner.clip is learner.inner.clip now",
    "learner=maml learner.fast_weights=dense": "learner.fast_weights is learner.inner.fast_weights now",
    "learner=maml learner.truncate=1": "learner.truncate is learner.inner.truncate now",
    "learner=maml learner.remat=true": "learner.remat is learner.inner.remat now",
    "experiment=old": "protocol.query is protocol.episodes.query now",
    "learner.clip=1.0": "learner.clip=1.0: no such key; learner has",  # ridge never had one
}
"""Settings by the names that they had before they moved into a block."""


@pytest.mark.parametrize("typed", OLD)
def test_an_old_name_is_answered_with_the_new_one(typed, small, monkeypatch, capfd, tmp_path):
    (tmp_path / "experiment").mkdir()
    (tmp_path / "experiment/old.yaml").write_text("# @package _global_\nprotocol:\n  query: 3\n")
    path = f"hydra.searchpath=[file://{tmp_path}]"
    assert refused(monkeypatch, capfd, tmp_path, path, *small, *typed.split()).startswith(OLD[typed])


def test_every_old_name_is_tested():
    assert {typed.split()[-1].lstrip("+").partition("=")[0] for typed in OLD} >= set(MOVED)


TABLES = {
    "dataset.interactions=null": "dataset.interactions is not set",
    "dataset.interactions=none.csv": "none.csv: no such file",
    "dataset.interactions=good.csv dataset.columns.label=stars": "no column 'stars' (dataset.columns.label)",
    "dataset.interactions=good.csv protocol.order=time": "protocol.order=time: table has no time column",
    "dataset.interactions=ragged.csv": "ragged.csv, line 3: 2 values",
}


@pytest.mark.parametrize("typed", TABLES)
def test_files_of_ones_own(typed, small, monkeypatch, capfd, tmp_path):
    rows = [f"u{user},i{item},{(user + item) % 5}" for user in range(30) for item in range(9)]
    (tmp_path / "good.csv").write_text("\n".join(["user,item,label", *rows]))
    (tmp_path / "ragged.csv").write_text("user,item,label\na,b,3\na,c\n")
    monkeypatch.chdir(tmp_path)
    rest = [text for text in small if not text.startswith("dataset")]
    assert TABLES[typed] in refused(monkeypatch, capfd, tmp_path, "dataset=table", *rest, *typed.split())


@pytest.mark.parametrize("flags", [[], ["-m"], ["-m", "name=a,b"]])
def test_output_that_is_a_file(flags, small, monkeypatch, capfd, tmp_path):
    (tmp_path / "file").write_text("mine")
    said = refused(monkeypatch, capfd, tmp_path, *small, f"output={tmp_path / 'file'}", *flags)
    assert said.startswith(f"output: can't make {tmp_path / 'file'}")
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize("name", ["a/b", "a,b/c", "choice(a,b/c)"])
def test_a_sweep_into_no_folder_makes_none(name, small, monkeypatch, capfd, tmp_path):
    said = refused(monkeypatch, capfd, tmp_path, *small, "-m", f"name={name}")
    assert "it names a folder, so give it none of" in said


def test_a_sweep_over_outputs_checks_each(small, monkeypatch, capfd, tmp_path):
    (tmp_path / "file").write_text("mine")
    typed = f"output={tmp_path / 'out'},{tmp_path / 'file'}"
    assert "Not a directory" in refused(monkeypatch, capfd, tmp_path, *small, "-m", typed)


def test_every_root_key_says_what_it_must_be():
    scalars = [name for name, field in Root.__dataclass_fields__.items() if field.type != "Any"]
    assert all(map(kind, scalars))
    assert kind("learner") == kind("learner.inner_steps") == ""


def raised(error: Exception, function) -> Exception:
    try:
        function(error)
    except Exception as caught:
        return caught
    raise AssertionError


def test_only_what_is_raised_outside_of_a_job_is_a_refusal():
    def job(error):
        raise error

    def hydra(error):
        raise error

    assert not cli.is_refusal(raised(ValueError("shapes differ"), job), job)
    assert not cli.is_refusal(raised(KeyError("scores"), hydra), job)
    for error in (ValueError("new in\nHydra 1.3.9"), HydraException("new"), FileExistsError(17, "exists", "out")):
        refused = raised(error, hydra)
        assert cli.is_refusal(refused, job)
        assert "\n" not in failures.explain(refused)


def test_exit_codes(capsys):
    refused, broken = failures.Failure("a refused", code=2), failures.Failure("a broken", code=1)
    assert [cli.conclude(failed) for failed in ([], [refused], [broken], [refused, broken])] == [0, 2, 1, 1]
    assert capsys.readouterr().err.splitlines() == [
        "recmeta: a refused", "recmeta: a broken", "recmeta: 2 of the sweep's runs failed"
    ]  # fmt: skip


def test_overrides_may_stand_around_flags(small, monkeypatch, capsys):
    typed = ["learner=maml", "--cfg", "job", "~learner.adapts", "batch=8"]
    monkeypatch.setattr(sys, "argv", ["recmeta", *small, *typed])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().out
    assert ended.value.code == 0
    assert "batch: 8" in said
    assert "inner_steps: 5" in said
    assert "adapts" not in said


def test_failures_of_other_processes_are_read_unless_they_are_of_an_earlier_sweep(tmp_path):
    for at, name in enumerate(("old", "new")):
        (tmp_path / name).mkdir()
        path = tmp_path / name / "failure.json"
        path.write_text(f'{{"error": "it broke", "code": {at + 1}, "overrides": ["learner={name}"]}}')
        os.utime(path, ns=(at * 10**9, at * 10**9))
    assert list(cli.recorded(tmp_path, tmp_path)) == []  # no sweep
    (tmp_path / "multirun.yaml").touch()
    os.utime(tmp_path / "multirun.yaml", ns=(5 * 10**8, 5 * 10**8))
    for name, code in (("given_up", {"code": 0}), ("killed", {})):
        (tmp_path / name).mkdir()
        (tmp_path / name / "failure.json").write_text(json.dumps({"error": "", "overrides": []} | code))
    assert list(cli.recorded(tmp_path, tmp_path)) == [failures.Failure("learner=new: it broke", 2)]


@pytest.mark.parametrize(("quota", "most"), [("max 100000", None), ("150000 100000", 2), ("50000 100000", 1)])
def test_a_container_may_use_fewer_cores_than_there_are(monkeypatch, tmp_path, quota, most):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(8)), raising=False)
    (tmp_path / "cpu.max").write_text(f"{quota}\n")
    assert cli.cores(tmp_path / "cpu.max") == (most or 8)
    assert cli.cores(tmp_path / "nowhere") == 8


@pytest.mark.parametrize(
    ("environment", "expected"),
    [
        ({}, "cli.cores()"),
        ({"JAX_NUM_CPU_DEVICES": "3"}, "3"),
        ({"XLA_FLAGS": "--xla_force_host_platform_device_count=3"}, "3"),
    ],
)
def test_each_core_that_may_be_used_is_a_device_unless_it_is_said_otherwise(environment, expected):
    program = f"""
import os
import jax
from recmeta import cli
cli.configure_jax()
assert len(jax.devices()) == {expected}, jax.devices()
cli.configure_jax()  # too late to change anything, and no error
"""
    kept = {name: value for name, value in os.environ.items() if name not in ("JAX_NUM_CPU_DEVICES", "XLA_FLAGS")}
    subprocess.run([sys.executable, "-c", program], check=True, env=kept | environment)
