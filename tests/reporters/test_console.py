"""The console says the numbers, the verdict and what adaptation did, on a terminal and off it."""

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from recmeta.reporters.console import console
from recmeta.reporters.progress import progress_line, track
from recmeta.types import UserError


def screen(**options) -> Console:
    return Console(record=True, file=io.StringIO(), width=120, **options)


def rows(text: str) -> list[list[str]]:
    return [line.split() for line in text.splitlines() if line.strip()]


def finished(make_run, summary, task_scores) -> str:
    out = screen()
    reporter = console(out)
    reporter.start(make_run())
    reporter.finish(summary, task_scores, {})
    reporter.close(None)
    return out.export_text()


def test_a_learner_is_called_with_what_makes_it_another_method(make_run, summary, task_scores):
    text = finished(make_run, summary | {"departs": {"learner.adapts": "head"}}, task_scores)
    assert "maml (head)" in text
    assert re.search(r"user_cold: maml \(head\): ", text)


def test_the_tables_hold_the_numbers_best_method_first(make_run, summary, task_scores):
    said = rows(finished(make_run, summary | {"attainable": {"mae": 0.6999}}, task_scores))
    names = ["user_item_bias", "maml", "item_mean", "popularity", "attainable"]
    table = [row for row in said if row[0] in names]
    assert table[:5] == [
        ["user_item_bias", "0.7212", "±0.0100", "—", "189", "2"],
        ["maml", "0.7431", "±0.0100", "0.7256", "±0.0100", "189", "2"],
        ["item_mean", "0.8112", "±0.0100", "0.7012", "±0.0100", "189", "1"],
        ["popularity", "—", "0.6011", "±0.0100", "189", "1"],
        ["attainable", "0.6999", "—"],
    ]
    assert table[5] == ["maml", "0.6543", "±0.0100", "189", "2"], "the headline scenario comes first"


def test_a_metric_to_maximise_turns_the_order(make_run, summary, task_scores):
    summary["metric"] = {"name": "ndcg@5", "goal": "max", "scenario": "user_cold", "value": 0.7256}
    said = rows(finished(make_run, summary, task_scores))
    methods = [row[0] for row in said if row[0] in {"maml", "item_mean", "popularity", "user_item_bias"}]
    assert methods[:4] == ["maml", "item_mean", "popularity", "user_item_bias"]


def test_adaptation_verdict_speed_and_directory(make_run, summary, task_scores):
    text = finished(make_run, summary, task_scores)
    assert ["0", "0.9001", "0.9002", "0.9003"] in rows(text)
    assert ["5", "0.9001", "0.8004", "0.7005"] in rows(text)
    assert "user_cold: adaptation changes a prediction by 0.1234 on average" in text
    assert "warm: adaptation is a no-op" in text
    assert "user_cold: maml: worse than user_item_bias by 0.0219 [0.0100, 0.0300]" in text
    assert "speed: compiled in 2.5 s, trained 12,346 tasks/s, 61.0 s in all, peak 512 MB" in text
    assert str(make_run().directory) in text


def test_baselines_alone(make_run, summary, task_scores):
    del summary["scores"]["user_cold"]["model"], summary["scores"]["warm"]
    summary |= {"adaptation": {}, "verdict": {}, "speed": {"eval_tasks_per_s": 10.0}}
    text = finished(make_run, summary, task_scores)
    assert "user_item_bias" in text
    assert "adaptation" not in text
    assert "speed: evaluated 10 tasks/s" in text


def test_plain_lines_off_a_terminal(make_run):
    out = screen()
    reporter = console(out)
    reporter.start(make_run(step=20))
    reporter.note("read [12] rows of [bold]ratings[/bold]: " + "x" * 200)
    reporter.log(30, "validation", {"mae": [0.5, 0.7], "tasks_per_s": [1e6, 1e6]})
    reporter.log(40, "train", {"loss": [0.25, 0.25]})
    reporter.close(KeyboardInterrupt())
    lines = out.export_text().splitlines()
    assert lines[0].startswith("study: ")
    assert lines[0].endswith(", resumed at step 20")
    assert lines[1] == "read [12] rows of [bold]ratings[/bold]: " + "x" * 200, "verbatim, and not broken"
    assert lines[2] == "step 30/100  validation  mae 0.6  (1,000,000 tasks/s)"
    assert re.fullmatch(r"step 40/100  train  loss 0\.25  \([0-9.e+]+ steps/s\)", lines[3])
    assert lines[4].startswith("stopped at step 40 of 100: ")
    assert len(lines) == 5


def test_a_bar_on_a_terminal_that_ends_with_the_run(make_run):
    out = screen(force_terminal=True)
    reporter = console(out)
    reporter.start(make_run())
    assert out._live_stack
    reporter.log(50, "validation", {"mae": [0.5, 0.7]})
    reporter.log(50, "train", {"loss": [9.0, 9.0]})
    reporter.note("a note above the bar")
    reporter.close(ValueError("stop"))
    assert not out._live_stack
    text = out.export_text()
    assert "0/100 ───" in text
    assert "-:--:-- left  compiling" in text
    assert "a note above the bar" in text


@pytest.mark.parametrize("width", [40, 80, 100, 120, 200])
def test_the_line_of_progress_fits_and_has_all_that_counts(width):
    for done in (0, 12_000, 100_000):
        line = progress_line(done, 100_000, 86_400.0, "ndcg_linear@20 0.8123 (best 0.8456)", "1,358,312 tasks/s", width)
        assert f"{done}/100000" in line
        assert "ndcg_linear@20 0.8123" in line
        assert "left" in line
        if width >= 80:
            assert len(line) < width
            assert "━" in line or "─" in line
            assert "1 day, 0:00:00 left  ndcg_linear@20 0.8123 (best 0.8456)" in line
        if width >= 120:
            assert "1,358,312 tasks/s" in line


def test_the_line_of_progress_has_the_metric_that_chooses(make_run, monkeypatch):
    drawn = []
    monkeypatch.setattr("recmeta.reporters.console.track", lambda *given: drawn.append(track(*given)) or drawn[0])
    out = screen(force_terminal=True)
    reporter = console(out)
    reporter.start(make_run())
    line = drawn[0].line
    assert line().endswith("-:--:-- left  compiling")
    for step, value in ((20, 0.9), (40, 0.7), (60, 0.8)):
        reporter.log(step, "train", {"loss": [9.0, 9.0], "tasks_per_s": [500.0, 500.0]})
        reporter.log(step, "validation", {"mae": [value - 0.1, value + 0.1], "ndcg@5": [0.3, 0.3]})
    assert line().startswith("60/100 ━")
    assert line().endswith(":00 left  mae 0.8000 (best 0.7000)  500 tasks/s")
    reporter.close(None)


@pytest.mark.parametrize("width", [80, 100, 120, 200])
def test_no_number_and_no_name_is_cut(make_run, summary, task_scores, width):
    """Six metrics, whose table is wider than most terminals, and a name that is half of the narrowest."""
    methods = summary["scores"]["user_cold"]
    methods["blend(of=[cluster_mean,item_knn,factor_model])"] = methods["item_mean"]
    for at, name in enumerate(("rmse", "recall@5", "legacy.metahin_ndcg@5", "auc")):
        for place, found in enumerate(methods.values()):
            found[name] = {"mean": at + place / 7, "ci95": [at, at + place / 7 + 0.3], "tasks": 1430, "seeds": 3}
    out = Console(record=True, file=io.StringIO(), width=width, force_terminal=True, color_system=None)
    reporter = console(out)
    reporter.start(make_run())
    reporter.finish(summary, task_scores, {})
    text = out.export_text()
    table = text[text.index("user_cold\n") : text.index("best mae first")]
    assert max(map(len, table.splitlines())) <= width
    for method, found in methods.items():
        assert ("maml" if method == "model" else method) in table
        for score in found.values():
            assert score["mean"] is None or f"{score['mean']:.4f} ±" in table
    assert "…" not in text
    for word in summary["verdict"]["user_cold"]["text"].split():
        assert word in text.split()


@pytest.mark.parametrize("steps", [0, 100])
def test_nothing_to_train_draws_no_bar(make_run, steps):
    out = screen(force_terminal=True)
    reporter = console(out)
    reporter.start(make_run(step=steps, steps=steps))
    assert not out._live_stack
    reporter.close(None)


def test_standard_output_without_a_width_is_wide(make_run, summary, task_scores, capsys, monkeypatch):
    monkeypatch.delenv("COLUMNS", raising=False)
    reporter = console()
    reporter.start(make_run())
    reporter.finish(summary, task_scores, {})
    assert ["maml", "0.7431", "±0.0100", "0.7256", "±0.0100", "189", "2"] in rows(capsys.readouterr().out)


TALK = """
from pathlib import Path
from recmeta.reporters.console import console
from recmeta.types import Run
reporter = console()
reporter.start(Run("n", Path("here"), {}, [], {}, [0], 1, 0, {}))
for step in range(20000):
    reporter.log(step, "train", {"loss": [1.0]})
reporter.close(None)
print("never read", flush=True)
Path("done").touch()
"""


def test_a_reader_that_leaves_does_not_end_the_run(tmp_path):
    pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", TALK], cwd=tmp_path, text=True, **pipes) as talking:
        assert talking.stdout is not None
        assert talking.stderr is not None
        assert talking.stdout.readline() == "n: here\n"
        talking.stdout.close()
        assert talking.stderr.read() == "recmeta: nothing reads standard output any more; the run goes on\n"
    assert talking.returncode == 0
    assert (tmp_path / "done").exists()


def test_a_console_that_can_not_be_written_is_one_line(make_run):
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    with pytest.raises(UserError, match=r"^the console can't be written \(No space left on device\); reporter=quiet"):
        console(Console(file=Full())).start(make_run())
