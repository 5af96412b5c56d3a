"""Which runs are found."""

import json

import pytest

from recmeta.results.runs import find
from recmeta.results.status import statuses


def test_finds_complete_failed_and_unfinished(make, config, tmp_path):
    done = make("b/done", config(), {"model": [1, 2]})
    failed, unfinished = tmp_path / "outputs" / "a" / "failed", tmp_path / "outputs" / "c" / "unfinished"
    for directory in (failed, unfinished, done / ".hydra", tmp_path / "outputs" / ".trash"):
        directory.mkdir(parents=True)
        (directory / "config.yaml").write_text("name: x\n")
    (failed / "failure.json").write_text(json.dumps({"error": "loss is\nNaN", "type": "ValueError"}))
    (failed / "overrides.yaml").write_text("- learner=maml\n- batch=4\n")
    runs, missing = find([tmp_path / "outputs", done])
    assert [run.directory for run in runs] == [done]
    assert runs[0].metric == "mae"
    assert [(run.directory, run.status, run.reason) for run in missing] == [
        (failed, "failed", "loss is NaN"),
        (unfinished, "unfinished", ""),
    ]
    assert missing[0].overrides == ("learner=maml", "batch=4")


def test_a_summary_that_is_not_complete_is_unfinished(make, config):
    directory = make("x", config(), {"model": [1, 2]})
    (directory / "summary.json").write_text('{"status": "running"}')
    assert [run.status for run in find([directory])[1]] == ["unfinished"]


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("summary.json", "{", "summary.json: cannot be read"),
        ("summary.json", "[]", "is no JSON object"),
        ("summary.json", '{"status": "complete", "hashes": {"data": "d"}}', "lacks the hash of protocol"),
        ("task_scores.parquet", "no parquet", "task_scores.parquet: cannot be read"),
        ("config.yaml", "a: [", "config.yaml: cannot be read"),
        ("config.yaml", "", "config.yaml: holds no settings"),  # else it would be one of the baselines alone
        ("config.yaml", "[1]", "config.yaml: holds no settings"),
        ("overrides.yaml", "a: [", "overrides.yaml: cannot be read"),
    ],
)
def test_a_damaged_run_is_listed_and_hides_no_other(make, config, name, content, said):
    whole, directory = make("w", config(), {"model": [1, 2]}), make("x", config(), {"model": [1, 2]})
    (directory / name).write_text(content)
    runs, missing = find([directory.parent])
    assert [run.directory for run in runs] == [whole]
    ((where, state, reason),) = [(run.directory, run.status, run.reason) for run in missing]
    assert (where, state) == (directory, "damaged")
    assert said in reason
    assert "\n" not in reason
    (status,) = [one for one in statuses(directory.parent) if one.directory == directory]
    assert status.state == "damaged" or name == "task_scores.parquet" or "hash" in said
