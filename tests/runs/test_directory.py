"""The run directory before and around a run: what is in it, whether it may go on there, and who holds it."""

import errno
import fcntl
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from recmeta.runs import directory as run_directory
from recmeta.runs.hashing import config_hash
from recmeta.types import UserError

HASHES = {"config": "c", "data": "d", "protocol": "p", "code": "k"}


@pytest.fixture
def config(tmp_path):
    return {"name": "main", "output": str(tmp_path / "out"), "force": False, "batch": 4}


@pytest.fixture
def directory(config):
    made = run_directory.place(config)
    made.mkdir(parents=True)
    return made


def write(directory: Path, **files):
    for name, content in files.items():
        text = yaml.safe_dump(content) if name == "config" else json.dumps(content)
        (directory / f"{name}.{'yaml' if name == 'config' else 'json'}").write_text(text)


def test_what_an_empty_directory_holds(config, directory):
    nothing = run_directory.Previous(None, {}, forced=False, components={})
    assert run_directory.read(directory, config_hash(config)) == nothing
    assert run_directory.read(directory / "none", config_hash(config)) == nothing


def test_an_interrupted_run_and_a_finished_one(config, directory):
    write(directory, config=config | {"force": True}, provenance={"hashes": HASHES})
    (directory / "checkpoints").mkdir()
    assert run_directory.read(directory, config_hash(config)) == (None, HASHES, True, {})
    summary = {"hashes": HASHES | {"data": "other"}, "verdict": {}}
    write(directory, summary=summary)
    assert run_directory.read(directory, config_hash(config)) == (summary, summary["hashes"], True, {})


def test_components_that_were_edited_are_named(config, directory):
    write(directory, config=config, provenance={"hashes": HASHES, "components": {"mine.py": "1", "other.py": "2"}})
    previous = run_directory.read(directory, config_hash(config))
    assert run_directory.edited(previous, {"mine.py": "1", "other.py": "2"}) == []
    assert run_directory.edited(previous, {"mine.py": "changed", "other.py": "2"}) == ["mine.py"]
    assert run_directory.edited(previous, {"mine.py": "1", "new.py": "3"}) == ["new.py", "other.py"]
    assert run_directory.edited(run_directory.Previous(None, {}, forced=False), {"mine.py": "1"}) == []


def test_a_forced_run_of_edited_components_starts_over():
    before = run_directory.Previous(None, HASHES | {"components": "old"}, forced=True)
    assert not run_directory.starts_over(before, HASHES | {"components": "old"}, force=True)
    assert run_directory.starts_over(before, HASHES | {"components": "new"}, force=True)


def test_a_directory_of_another_config(config, directory):
    write(directory, config=config | {"batch": 99})
    with pytest.raises(UserError, match=r"holds a run of another config; remove it, or give another name="):
        run_directory.read(directory, config_hash(config))


@pytest.mark.parametrize(
    ("name", "content"),
    [("config.yaml", "a: ["), ("summary.json", "{"), ("summary.json", "[]"), ("summary.json", "{}")],
)
def test_a_damaged_directory_is_named(config, directory, name, content):
    (directory / name).write_text(content)
    with pytest.raises(UserError, match=rf"^{directory} is damaged \([^\n]+\); remove it$"):
        run_directory.read(directory, config_hash(config))


def test_checkpoints_of_unknown_data_are_not_gone_on_with(config, directory):
    (directory / "checkpoints").mkdir()
    with pytest.raises(UserError, match=r"is damaged \(it does not say which data it is of\)"):
        run_directory.read(directory, config_hash(config))


@pytest.mark.parametrize(
    ("key", "what"),
    [
        ("data", "the data changed"),
        ("protocol", "the split of the data changed"),
        ("constants", "as pretrained vectors, have changed"),
        ("text", "the files that texts are encoded by have changed"),
    ],
)
def test_other_data_is_refused(directory, key, what):
    before = run_directory.Previous(None, HASHES, forced=False)
    with pytest.raises(UserError, match=rf"{what} since; force=true discards it and runs again, another name= keeps"):
        run_directory.check_same(before, HASHES | {key: "new"}, directory)


def test_other_code_is_a_line(directory):
    before = run_directory.Previous(None, HASHES, forced=False)
    assert run_directory.check_same(before, HASHES, directory) == []
    (line,) = run_directory.check_same(before, HASHES | {"code": "new"}, directory)
    assert line.startswith("recmeta's code changed since")
    assert run_directory.check_same(before._replace(hashes={}), HASHES, directory) == []


def test_only_a_forced_run_of_the_same_data_that_was_interrupted_goes_on_under_force():
    interrupted = run_directory.Previous(None, HASHES, forced=True)
    assert not run_directory.starts_over(interrupted, HASHES, force=True)
    assert not run_directory.starts_over(interrupted, HASHES | {"code": "new"}, force=True)
    for other in (
        interrupted._replace(forced=False), interrupted._replace(summary={}), interrupted._replace(hashes={})
    ):  # fmt: skip
        assert run_directory.starts_over(other, HASHES, force=True)
        assert not run_directory.starts_over(other, HASHES, force=False)
    assert run_directory.starts_over(interrupted, HASHES | {"data": "new"}, force=True)


HOLD = "import sys; from pathlib import Path; from recmeta.runs.directory import locked\n\
with locked(Path(sys.argv[1])): print('held', flush=True); sys.stdin.read()"


def test_one_process_at_a_time(config, directory):
    command = [sys.executable, "-c", HOLD, str(directory)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "held\n"
        with pytest.raises(UserError, match=r"is in progress in another process"), run_directory.locked(directory):
            raise AssertionError
        run_directory.record_failure(config, [], UserError("is in progress"), 2)
        assert not (directory / "failure.json").exists(), "it is the other's to write there"
        other.kill()
    with run_directory.locked(directory) as messages:
        assert messages == []
    with run_directory.locked(directory) as messages:
        assert messages == []


def test_a_file_system_without_locks_is_a_line(directory, monkeypatch):
    def unknown(stream, operation):
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS))

    monkeypatch.setattr(fcntl, "flock", unknown)
    with run_directory.locked(directory) as messages:
        assert messages == [
            f"{directory} can't be locked (Function not implemented): don't start this run twice at the same time"
        ]


def test_what_can_be_written_is_found_out_without_writing(tmp_path, monkeypatch):
    run_directory.check_writable(tmp_path / "a" / "b")
    assert not list(tmp_path.iterdir())
    (tmp_path / "file").write_text("mine")
    with pytest.raises(UserError, match=r"^output: can't make [^\n]+/file/a: Not a directory \([^\n]+/file\); give an"):
        run_directory.check_writable(tmp_path / "file" / "a")
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    with pytest.raises(UserError, match="Permission denied"):
        run_directory.check_writable(tmp_path / "a")


def test_failures_are_recorded_beside_no_numbers(config, directory, tmp_path):
    run_directory.record_failure(config, ["batch=4"], UserError("too\nbad"), 2)
    recorded = json.loads((directory / "failure.json").read_text())
    assert recorded == {"error": "too bad", "type": "UserError", "code": 2, "overrides": ["batch=4"]}
    assert yaml.safe_load((directory / "config.yaml").read_text()) == config
    (directory / "failure.json").unlink()
    (directory / "summary.json").write_text("{}")
    run_directory.record_failure(config, [], UserError("bad"), 2)
    run_directory.record_failure(config | {"name": ".."}, [], UserError("bad"), 2)
    run_directory.record_failure({}, [], UserError("bad"), 2)
    assert not list(tmp_path.rglob("failure.json"))


def test_a_full_disk_does_not_end_a_sweep(config, directory, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    run_directory.record_failure(config, [], UserError("bad"), 2)
    assert not (directory / "failure.json").exists()
