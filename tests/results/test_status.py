"""What of a sweep is done."""

import fcntl
import json

import pytest
import yaml

from recmeta.results.__main__ import main
from recmeta.results.status import statuses, sweep_runs
from recmeta.types import UserError

LINE = [
    "learner=maml,ridge,joint,reptile,knn",
    "protocol.episodes.shots=[0,5]",
    "seeds=[0]",
    "name=study",
    "reporter=quiet",
]


@pytest.fixture
def sweep(make, config, tmp_path):
    """A sweep over five learners: one done, one failed before it began, one running, one interrupted, one missing."""
    study = tmp_path / "outputs" / "study"

    def begin(name, typed):
        directory = study / name
        directory.mkdir(parents=True, exist_ok=True)
        (directory / "config.yaml").write_text("steps: 100\n")
        (directory / "overrides.yaml").write_text(yaml.safe_dump(typed))
        (directory / ".lock").write_text("")
        (directory / "metrics.jsonl").write_text('{"step": 30}\n{"step": 40}\n{"st')
        return directory

    done = make("study/a", config("maml"), {"model": [1, 2]})
    # Other words for the same point: in another order, under another name, with another reporter.
    (done / "overrides.yaml").write_text(yaml.safe_dump(["seeds=[0]", "learner=maml", "protocol.episodes.shots=[0,5]"]))
    failed = study / "b"
    failed.mkdir()
    typed = ["learner=ridge", "protocol.episodes.shots=[0,5]", "seeds=[0]"]
    (failed / "failure.json").write_text(json.dumps({"error": "out of\nmemory", "overrides": typed}))
    given_up = begin("e", ["learner=protonet", *typed[1:]])
    (given_up / "failure.json").write_text(json.dumps({"error": "given up at step 40", "type": "Pruned"}))
    begin("c", ["learner=joint", *typed[1:]])
    begin("d", ["learner=reptile", *typed[1:]])
    (study / "multirun.yaml").write_text(yaml.safe_dump({"hydra": {"overrides": {"task": LINE}}}))
    return study


def test_every_state_is_told(sweep, capsys):
    with (sweep / "c" / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        assert main(["status", str(sweep)]) == 0
    counted, *told = capsys.readouterr().out.splitlines()
    assert counted == "6 runs: 1 done, 1 pruned, 1 failed, 1 running, 1 unfinished, 1 missing"
    assert told == [
        f"pruned: learner=protonet ({sweep / 'e'}): given up at step 40",
        f"failed: learner=ridge ({sweep / 'b'}): out of memory",
        f"running: learner=joint ({sweep / 'c'}): step 40 of 100",
        f"unfinished: learner=reptile ({sweep / 'd'}): step 40 of 100",
        "missing: learner=knn",
    ]


def test_who_asks_holds_nothing(sweep):
    statuses(sweep)
    with (sweep / "c" / ".lock").open("ab") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)


def test_a_run_elsewhere_is_not_this_sweeps(sweep, tmp_path):
    other = tmp_path / "outputs" / "other"
    other.mkdir()
    (other / "multirun.yaml").write_text((sweep / "multirun.yaml").read_text())
    states = [run.state for run in statuses(tmp_path / "outputs")]
    assert states.count("missing") == 1 + 5


def test_points_are_hydras_product(tmp_path):
    line = ["learner=maml,ridge", "steps=range(1,3)", "seeds=[0,1]", "+a.b='x,y'"]
    path = tmp_path / "multirun.yaml"
    path.write_text(yaml.safe_dump({"hydra": {"overrides": {"task": line}}}))
    rest = ("seeds=[0,1]", "+a.b='x,y'")
    assert sweep_runs(path) == [
        (f"learner={learner}", f"steps={steps}", *rest) for learner in ("maml", "ridge") for steps in (1, 2)
    ]


@pytest.mark.parametrize("params", [{}, {"steps": "7,8", "suite": "a,b"}])
def test_points_are_what_hydras_own_sweeper_makes(tmp_path, params):
    """Of what a config sweeps too, in the place of which stands what is typed."""
    from hydra._internal.core_plugins.basic_sweeper import BasicSweeper
    from hydra.core.override_parser.overrides_parser import OverridesParser

    line = ["learner=maml,ridge", "steps=choice(1,2)", "seeds=[0],[1]", "+x.y=1e-3", "~c"]
    path = tmp_path / "multirun.yaml"
    path.write_text(yaml.safe_dump({"hydra": {"overrides": {"task": line}, "sweeper": {"params": params}}}))
    every = [*(f"{key}={value}" for key, value in params.items()), *line]
    (batch,) = BasicSweeper.split_arguments(OverridesParser.create().parse_overrides(every), None)
    assert [list(point) for point in sweep_runs(path)] == batch


@pytest.mark.parametrize(("name", "said"), [("none", "no such folder"), ("empty", "holds no run and no sweep")])
def test_the_users_mistakes(tmp_path, capsys, name, said):
    (tmp_path / "empty").mkdir()
    assert main(["status", str(tmp_path / name)]) == 2
    assert said in capsys.readouterr().err
    with pytest.raises(UserError):
        statuses(tmp_path / name)
