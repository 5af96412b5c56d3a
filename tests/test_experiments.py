"""What stands under experiments/ keeps up with the configs."""

import csv
import importlib.util
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from hydra import compose, initialize_config_dir
from hydra.core.override_parser.overrides_parser import OverridesParser
from omegaconf import OmegaConf

from recmeta.config import parts, schema, versions
from recmeta.sweeps.space import each_once, space, typed

EXPERIMENTS = Path(__file__).parents[1] / "experiments"
SWEEPS = sorted((EXPERIMENTS / "sweeps").glob("*.yaml"))


def values(parameter):
    """The ends of a range, or all that is listed."""
    if "value" in parameter:
        return [parameter["value"]]
    return parameter.get("values") or [parameter["min"], parameter["max"]]


@pytest.mark.parametrize(
    "path",
    [pytest.param(path, marks=() if path.stem == "maml" else pytest.mark.slow, id=path.stem) for path in SWEEPS],
)
def test_every_value_of_a_wandb_sweep_makes_a_run(path):
    sweep = yaml.safe_load(path.read_text(encoding="utf-8"))
    assert sweep["command"] == ["${env}", "python", "-m", "recmeta", "${args_no_hyphens}"]
    assert sweep["metric"] == {"name": "validation/value", "goal": "minimize"}
    space = {key: values(parameter) for key, parameter in sweep["parameters"].items()}
    first = {key: some[0] for key, some in space.items()}
    points = [first | {key: value} for key, some in space.items() for value in some]
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        for point in points:
            config = compose("config", [f"{key}={value}" for key, value in point.items()])
            parts.make_parts(OmegaConf.to_container(config, resolve=True))


def test_there_are_sweeps():
    assert SWEEPS


# --- what_survives ------------------------------------------------------------------------------------------------

REBUILD = EXPERIMENTS / "what_survives" / "rebuild.py"
PLAN = yaml.safe_load((REBUILD.parent / "plan.yaml").read_text(encoding="utf-8"))
EFFORT = PLAN["presets"]["small"]
TINY = """
presets: {small: {trials: 2, batch: 2, splits: 2}}
all: [encoder.width=2, batch=4, "metrics=[mae]"]
judged_by: [mae]
seeds: [0, 1]
searched: ["optimizer.learning_rate=tag(log,interval(0.001,0.1))"]
learners:
  ridge: {fixed: [learner=ridge], searched: ["learner.weight_scale=tag(log,interval(0.03,1))"]}
baselines: [global_mean, user_item_bias]
tables:
  tiny:
    fixed:
      [dataset=synthetic, dataset.users=60, dataset.items=40, "dataset.per_user=[14,20]",
      "protocol.episodes.shots=[0,3]", protocol.episodes.query=5, steps=4, eval_every=2]
    learners: [ridge]
"""


def script(path):
    spec = importlib.util.spec_from_file_location(path.stem, path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def settings(line):
    """What a command line types for a run."""
    return [each for each in line if each != "-m" and not each.startswith(("hydra", "output=", "name="))]


def point(line):
    """The first point of a command line: everything that is typed, a choice and a range at their first value."""
    found = space(settings(line))
    return [*found.fixed, *typed(each_once(found)[0])]


@pytest.mark.parametrize(
    "table",
    [
        pytest.param(table, marks=() if table == next(iter(PLAN["tables"])) else pytest.mark.slow)
        for table in PLAN["tables"]
    ],
)
def test_every_line_of_what_survives_makes_a_run(table):
    """Of every learner of a table, and of the baselines."""
    lines = script(REBUILD)
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        for learner in PLAN["tables"][table]["learners"]:
            typed_there = point(lines.search_line(PLAN, EFFORT, table, learner, Path("out")))
            parts.make_parts(OmegaConf.to_container(compose("config", typed_there), resolve=True))
        baselines = ["learner=none", f"baselines=[{','.join(PLAN['baselines'])}]"]
        line = lines.test_line(PLAN, EFFORT | {"splits": 1}, table, "baselines", baselines, Path("out"))
        parts.make_parts(OmegaConf.to_container(compose("config", settings(line)), resolve=True))


@pytest.mark.slow
def test_what_survives_from_end_to_end_and_again(tmp_path):
    """Two trials, two splits; the same line again runs nothing and gives the same files."""
    (tmp_path / "plan.yaml").write_text(TINY)
    line = [sys.executable, REBUILD, "--plan", "plan.yaml", "--output", "out", "--results", "kept"]
    subprocess.run(line, cwd=tmp_path, check=True)
    files = {path.relative_to(tmp_path): path.read_bytes() for path in (tmp_path / "kept").rglob("*") if path.is_file()}
    assert {path.name for path in files} == {"results.csv", "comparisons.csv", "budget.csv"}
    with (tmp_path / "kept" / "tiny" / "mae" / "budget.csv").open() as stream:
        tried = {row["method"]: row["tried"] for row in csv.DictReader(stream)}
    assert tried["learner=ridge"] == "2"
    summaries = {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("summary.json")}
    assert len(summaries) == 2 + 2 + 2  # trials; the learner and the baselines on both splits
    subprocess.run(line, cwd=tmp_path, check=True)
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "out").rglob("summary.json")} == summaries
    assert all((tmp_path / path).read_bytes() == content for path, content in files.items())


@pytest.mark.slow
def test_what_survives_leaves_out_what_fails_and_keeps_no_part_of_a_table(tmp_path):
    (tmp_path / "plan.yaml").write_text(TINY.replace("weight_scale=tag", "no_such_setting=tag"))
    line = [sys.executable, REBUILD, "--plan", "plan.yaml", "--output", "out", "--results", "kept"]
    ended = subprocess.run(line, cwd=tmp_path, check=False, capture_output=True, text=True)
    assert ended.returncode == 1
    assert "no finished search that found anything; ridge is left out" in ended.stderr
    assert "user_item_bias" in ended.stdout, "the others go on"
    assert not (tmp_path / "kept").exists()


# --- suite --------------------------------------------------------------------------------------------------------


@pytest.mark.slow
def test_the_suite_from_end_to_end_and_again(tmp_path):
    """Two drawn tables, made small: a line of two learners, whose panel is made once, and the regret of both."""
    small = ["dataset.users=150", "dataset.items=60", "dataset.per_user=[30,40]", "steps=4", "eval_every=2"]
    beside = 'hydra.launcher.beside=["learner=none","baselines=[item_mean,user_item_bias]"]'
    line = [sys.executable, "-m", "recmeta", "experiment=suite", "suite=world_noisy,like_shop", *small, beside]
    for learner, runs in (("ridge", 4), ("joint", 6), ("none", 6)):
        subprocess.run([*line, f"learner={learner}"], cwd=tmp_path, check=True)
        assert len(list(tmp_path.rglob("summary.json"))) == runs
    report = [sys.executable, "-m", "recmeta.results", "outputs/suite", "--regret", "--out", "kept"]
    subprocess.run(report, cwd=tmp_path, check=True)
    with (tmp_path / "kept" / "regret.csv").open() as stream:
        found = list(csv.DictReader(stream))
    assert {(one["row"], one["table"], one["shots"]) for one in found} == {
        (f"learner={learner}", table, shots)
        for learner in ("ridge", "joint") for table in ("world_noisy", "like_shop") for shots in ("5", "20")
    }  # fmt: skip
    for one in found:
        assert one["rival"] in ("item_mean", "user_item_bias")
        assert float(one["best"]) > float(one["optimum"]) > 0
        assert one["family"] == "4"


# --- the lines of READMEs -----------------------------------------------------------------------------------------

LINES = [
    (path.parent.name, line)
    for path in sorted(EXPERIMENTS.glob("*/README.md"))
    for line in path.read_text(encoding="utf-8").splitlines()
    if line.startswith("python -m recmeta -m")
]


def choices(one):
    """What is typed for a key, each choice by itself; of a range to search its lower end."""
    if one.is_interval_sweep():
        return [str(one.value().start)]
    return list(one.sweep_string_iterator()) if one.is_sweep_override() else [one.input_line]


@pytest.mark.parametrize(("name", "line"), LINES, ids=[f"{name}-{at}" for at, (name, _) in enumerate(LINES)])
def test_every_line_of_a_readme_makes_a_run(name, line):
    """Each choice of it once; and into a folder of its experiment's name."""
    typed_there = shlex.split(line)[3:]
    assert f"name={name}" in typed_there
    parsed = OverridesParser.create().parse_overrides(settings(typed_there))
    values = {one.get_key_element(): choices(one) for one in parsed}
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        for place in range(max(map(len, values.values()))):
            point = [
                some[0] if some[0].startswith(f"{key}=") else f"{key}={some[min(place, len(some) - 1)]}"
                for key, some in values.items()
            ]
            parts.make_parts(OmegaConf.to_container(compose("config", point), resolve=True))


# --- paper --------------------------------------------------------------------------------------------------------

RESULTS = """status,table,bucket,row,kind,metric,mean,lo,hi,tasks,seeds,splits,mark
complete,"T, K = 3",,ridge,learner,mae,0.70,0.60,0.80,9,2,1,best
complete,"T, K = 3",,ridge,learner,auc,0.80,0.70,0.90,9,2,1,
complete,"T, K = 3",K = 0,ridge,learner,mae,0.90,0.80,1.00,9,2,1,
complete,"T, K = 3",K = 3,ridge,learner,mae,0.70,0.60,0.80,9,2,1,
complete,"T, K = 3",,a_mean,baseline,mae,0.75,0.65,0.85,9,0,1,≈
complete,"T, K = 3",,a_mean,baseline,auc,,,,9,0,1,
complete,"T, K = 3",K = 0,a_mean,baseline,mae,0.75,0.65,0.85,9,0,1,
complete,"T, K = 3",K = 3,a_mean,baseline,mae,0.75,0.65,0.85,9,0,1,
failed,,,out/broken,,,,,,,,,
"""
COMPARISONS = """table,bucket,row,reference,metric,difference,lo,hi,p,p_corrected,correction
"T, K = 3",,ridge,a_mean,mae,-0.05,-0.09,-0.01,0.02,0.04,holm
"""


def test_tables_and_figures_from_committed_results_alone(tmp_path, monkeypatch):
    folder = tmp_path / "experiments" / "some" / "results" / "one"
    folder.mkdir(parents=True)
    (folder / "results.csv").write_text(RESULTS)
    (folder / "comparisons.csv").write_text(COMPARISONS)
    monkeypatch.setattr(sys, "argv", ["", "--experiments", str(tmp_path / "experiments"), "--out", str(tmp_path / "p")])
    script(EXPERIMENTS / "paper.py").main()
    assert {path.name for path in (tmp_path / "p").iterdir()} == {
        "some-one.tex", "some-one-shots.pdf", "some-one-shots.png"
    }  # fmt: skip
    said = (tmp_path / "p" / "some-one.tex").read_text()
    assert "None" not in said
    assert r"ridge & \textbf{0.700} $\pm$ 0.100 & 0.800 $\pm$ 0.100 \\" in said
    assert r"a\_mean & 0.750$^{\approx}$ $\pm$ 0.100 & -- \\" in said
    assert r"ridge & $-$0.050 $\pm$ 0.040 & 0.040 \\" in said


@pytest.mark.slow
def test_what_is_committed_is_drawn(tmp_path):
    """All of it: a file of another schema would stop the rest."""
    paper = script(EXPERIMENTS / "paper.py")
    for path in EXPERIMENTS.glob("*/results/**/results.csv"):
        assert list(paper.build(path.parent, tmp_path, "name"))
