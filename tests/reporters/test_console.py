"""The console says the numbers, the verdict and what adaptation did, on a terminal and off it."""

import io
import re
import subprocess
import sys

import pytest
from rich.console import Console

from recmeta.reporters.console import console
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


def test_the_tables_hold_the_numbers_best_method_first(make_run, summary, task_scores):
    said = rows(finished(make_run, summary | {"attainable": {"mae": 0.6999}}, task_scores))
    names = ["user_item_bias", "model", "item_mean", "popularity", "attainable"]
    table = [row for row in said if row[0] in names]
    assert table[:5] == [
        ["user_item_bias", "0.7212", "±0.0100", "—", "189", "2"],
        ["model", "0.7431", "±0.0100", "0.7256", "±0.0100", "189", "2"],
        ["item_mean", "0.8112", "±0.0100", "0.7012", "±0.0100", "189", "1"],
        ["popularity", "—", "0.6011", "±0.0100", "189", "1"],
        ["attainable", "0.6999", "—"],
    ]
    assert table[5] == ["model", "0.6543", "±0.0100", "189", "2"], "the headline scenario comes first"


def test_a_metric_to_maximise_turns_the_order(make_run, summary, task_scores):
    summary["metric"] = {"name": "ndcg@5", "goal": "max", "scenario": "user_cold", "value": 0.7256}
    said = rows(finished(make_run, summary, task_scores))
    methods = [row[0] for row in said if row[0] in {"model", "item_mean", "popularity", "user_item_bias"}]
    assert methods[:4] == ["model", "item_mean", "popularity", "user_item_bias"]


def test_adaptation_verdict_speed_and_directory(make_run, summary, task_scores):
    text = finished(make_run, summary, task_scores)
    assert ["0", "0.9001", "0.9002", "0.9003"] in rows(text)
    assert ["5", "0.9001", "0.8004", "0.7005"] in rows(text)
    assert "user_cold: adaptation changes a prediction by 0.1234 on average" in text
    assert "warm: adaptation is a no-op" in text
    assert "user_cold: worse than user_item_bias by 0.0219 [0.0100, 0.0300]" in text
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
    assert "50/100" in text
    assert "mae 0.6" in text
    assert "a note above the bar" in text


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
    assert ["model", "0.7431", "±0.0100", "0.7256", "±0.0100", "189", "2"] in rows(capsys.readouterr().out)


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
