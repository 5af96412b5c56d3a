import io
from pathlib import Path

import pytest
from rich.console import Console

from recmeta.sweeps.console import sweep_console
from recmeta.types import Run


def run(name, *overrides):
    return Run(name, Path(name), {}, overrides, {}, [0, 1], 4, 0, {}, True, {"mae": "min"}, "mae")


def screen(width=120, **options) -> Console:
    return Console(record=True, file=io.StringIO(), width=width, color_system=None, **options)


def test_what_is_done_a_line_for_all_runs_at_a_step_and_one_for_each_at_its_end():
    out = screen()
    console = sweep_console(frozenset({"steps=4"}), 0, 3, out)
    console.begin("planning 3 runs")
    console.skip(1)
    console.begin("learner=maml: compiling", 2, 4)
    reporters = [console.reporter(), console.reporter()]
    for place, reporter in enumerate(reporters):
        reporter.start(run(f"p{place}", "steps=4", f"seeds=[{place}]"))
    for step in (2, 4):
        for place, reporter in enumerate(reporters):
            reporter.log(step, "train", {"loss": [0.0, 0.0], "tasks_per_s": [500.0, 500.0]})
            reporter.log(step, "validation", {"mae": [place + step / 10, place + step / 10 + 0.2]})
    reporters[1].finish({"metric": {"name": "mae", "value": 0.5}, "validation": {"value": 1.5}}, None, {})
    reporters[1].close(None)
    reporters[0].close(ValueError("diverged"))
    console.stop()
    assert out.export_text().splitlines() == [
        "planning 3 runs",
        "learner=maml: compiling: 2 runs in one program",
        "step 2/4: 2 runs, mae on meta-validation 0.3000 to 1.3000",
        "step 4/4: 2 runs, mae on meta-validation 0.5000 to 1.5000",
        "2/3 seeds=[1] (p1): mae 0.5000, by meta-validation 1.5000",
    ]


@pytest.mark.parametrize("width", [80, 120])
def test_a_line_of_progress_on_a_terminal_from_the_start(monkeypatch, width):
    lines = []

    def tracked(*given):
        made = track(*given)
        lines.append(made.line)
        return made

    from recmeta.reporters.progress import track

    monkeypatch.setattr("recmeta.sweeps.console.track", tracked)
    console = sweep_console(frozenset(), 8, 20, screen(width, force_terminal=True))
    (line,) = lines
    console.begin("dataset=ml_100k: reading the data")
    assert line() == "8/20 runs  dataset=ml_100k: reading the data"
    console.begin("learner=maml", 1, 1000)
    assert line().startswith("8/20 runs  0/1000 ───")
    reporter = console.reporter()
    reporter.start(run("p"))
    for step in (100, 200):
        reporter.log(step, "train", {"tasks_per_s": [500.0, 500.0]})
        reporter.log(step, "validation", {"mae": [0.7, 0.9]})
    assert "200/1000 ━" in line()
    assert "left  mae 0.8000 to 0.8000" in line()
    assert len(line()) < width
    console.stop()


def test_quiet_says_nothing(capsys):
    console = sweep_console(frozenset(), 0, 1, quiet=True)
    console.begin("planning")
    console.begin("learner=maml", 1, 4)
    console.stop()
    assert capsys.readouterr().out == ""
