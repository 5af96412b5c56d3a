"""What is typed wrong ends in one line on standard error, exit code 2, and nothing written."""

import sys

import pytest

from recmeta import cli
from recmeta.__main__ import main
from recmeta.schema import Root, kind

SMALL = (
    "dataset=synthetic", "dataset.users=60", "dataset.items=30", "dataset.per_user=[10,12]", "protocol.shots=[0,3]",
    "protocol.query=4", "learner=ridge", "steps=4", "eval_every=2", "batch=4", "reporter=quiet",
    "baselines=[global_mean]", "metrics=[mae]",
)  # fmt: skip

REFUSED = {
    "learner.foo=1": "learner.foo=1: no such key; learner has level_scale, weight_scale",
    "foo=1": "foo=1: no such key; the config has dataset, ",
    "lerner=maml": "lerner=maml: no such key; the config has dataset, ",
    "reporter.console.x=1": "reporter.console.x=1: no such key; reporter has none",
    "dataset.per_usr=3": "dataset.per_usr=3: no such key; dataset has users, items, rank, per_user, ",
    "+learner.foo=1": "learner.foo: ridge has no such setting; it has level_scale, weight_scale",
    "+optimizer.momentun=1": "optimizer.momentun: adam has no such setting; it has learning_rate, b1, ",
    "~learner.level_scale": "learner.level_scale is missing: ridge needs it",
    "learner=mamll": "learner=mamll: no such choice; there are joint, maml, none, protonet, reptile, ridge",
    "learner=": "learner=: no such choice; there are joint, maml, ",
    "learner=null": "learner=null: no such choice; there are joint, maml, ",
    "learner=3": "learner=3: no such choice; there are joint, maml, ",
    "=3": "=3: no such choice; write key=value",
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
    "force=maybe": "force=maybe: must be true or false",
    "seeds=0": "seeds=0: must be a list of whole numbers, as [0,1]",
    "seeds=[0,0]": "seeds=[0, 0]: give one or more different whole numbers",
    "output=null": "output=null: must be text",
    "name=a/b": "name=a/b: it names a folder",
    "name=..": "name=..: it names a folder",
    "learner=maml learner.inner_steps=abc": "learner.inner_steps=abc: input should be a valid integer",
    "learner=maml learner.inner_rate=-1": "learner.inner_rate=-1: input should be greater than 0",
    "learner=maml learner.adapts=heads": "learner.adapts=heads: input should be 'head' or 'all'",
    "protocol.shots=3": "protocol.shots=3: input should be a valid list",
    "protocol.shots=[]": "protocol.shots=[]: list should have at least 1 item",
    "learner.level_scale=null": "learner.level_scale=null: input should be a valid number",
    "learner._target_=recmeta.learners.foo": "learner._target_=recmeta.learners.foo: Error loading",
    "baselines=[foo]": "baselines=foo: no such baseline; there are random, global_mean, ",
    "baselines=global_mean": "baselines=global_mean: must be a list of names",
    "metrics=[mae,foo]": "metric=foo: no such metric; allowed are mae, rmse, ",
    "metric=rmse": "metric=rmse is not one of metrics=[mae]; add it there",
    "learner=none baselines=[]": "learner=none and baselines=[]: there is nothing to run",
    "objective=bce": "objective: this one needs labels of 0 and 1, and there are labels from",
    "metrics=[mae,ndcg@5]": "metrics=ndcg@5: with protocol.query=4 candidates a cut-off must be below 4",
}


def refused(monkeypatch, capfd, tmp_path, *typed: str, base: tuple[str, ...] = SMALL) -> str:
    monkeypatch.setattr(sys, "argv", ["recmeta", *base, f"output={tmp_path / 'out'}", *typed])
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
def test_refused_in_one_line(typed, monkeypatch, capfd, tmp_path):
    assert refused(monkeypatch, capfd, tmp_path, *typed.split()).startswith(REFUSED[typed])


TABLES = {
    "dataset.interactions=null": "dataset.interactions is not set",
    "dataset.interactions=none.csv": "none.csv: no such file",
    "dataset.interactions=good.csv dataset.columns.label=stars": "no column 'stars' (dataset.columns.label)",
    "dataset.interactions=good.csv protocol.order=time": "protocol.order=time: table has no time column",
    "dataset.interactions=ragged.csv": "ragged.csv, line 3: 2 values",
}


@pytest.mark.parametrize("typed", TABLES)
def test_files_of_ones_own(typed, monkeypatch, capfd, tmp_path):
    rows = [f"u{user},i{item},{(user + item) % 5}" for user in range(30) for item in range(9)]
    (tmp_path / "good.csv").write_text("\n".join(["user,item,label", *rows]))
    (tmp_path / "ragged.csv").write_text("user,item,label\na,b,3\na,c\n")
    monkeypatch.chdir(tmp_path)
    base = ("dataset=table", *SMALL[4:])
    assert TABLES[typed] in refused(monkeypatch, capfd, tmp_path, *typed.split(), base=base)


def test_output_that_is_a_file(monkeypatch, capfd, tmp_path):
    (tmp_path / "file").write_text("mine")
    said = refused(monkeypatch, capfd, tmp_path, f"output={tmp_path / 'file'}")
    assert said.startswith(f"output: can't make {tmp_path / 'file'}")
    assert (tmp_path / "file").read_text() == "mine"


def test_every_root_key_says_what_it_must_be():
    scalars = [name for name, field in Root.__dataclass_fields__.items() if field.type != "Any"]
    assert all(map(kind, scalars))
    assert kind("learner") == kind("learner.inner_steps") == ""


def test_other_value_errors_are_defects():
    assert not cli.is_refusal(ValueError("shapes differ"))
