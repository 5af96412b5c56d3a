"""A search that is interrupted is the search that is not; what fails is passed over; the default is trial 0."""

import json
import signal
import subprocess
import sys
from contextlib import contextmanager

import pytest
from sqlalchemy import event
from sqlalchemy.engine import Engine
from sqlalchemy.pool import Pool

from recmeta.runs import directory as run_directory
from recmeta.runs import layout
from recmeta.sweeps.ending import search_lines
from recmeta.sweeps.search import STORAGE, SearchBase, Settings, TrialResult, search
from recmeta.sweeps.space import default, space
from recmeta.types import UserError

SPACE = ["learner=maml", "rate=tag(log,interval(0.001,1))", "width=8,16,32"]
AT = {"rate": 0.1, "width": 16}


class Killed(BaseException):
    """What no search survives."""


def launcher(seen, *, die_at=(), fail=lambda rate: False):
    """Runs trials at no cost: the error is least at a rate of 0.1 and a width of 32. ``seen`` are those it ran."""
    died = []

    def launch(points, first, judge):
        told = []
        for number, point in enumerate(points, first):
            if number in die_at and number not in died:
                died.append(number)
                raise Killed
            at = dict(text.split("=") for text in point)
            rate, width = float(at["rate"]), int(at["width"])
            seen.append((rate, width))
            told.append(
                TrialResult(
                    None if fail(rate) else abs(rate - 0.1) + 1 / width, None, "diverged" if fail(rate) else "", 1.0
                )
            )
        return told

    return launch


def searched(folder, launch, at=AT, typed=SPACE, config="", **settings):
    how = Settings(
        **{"sampler": "random", "trials": 20, "batch": 6, "seed": 0, "pruner": "none", "storage": None} | settings
    )
    found = space(typed)
    return search(folder, found, how, SearchBase(config, "min", 100, default(found, at)), launch)


@pytest.fixture
def writes():
    """``with writes(last) as done``: SQL that changes a data base is counted, and that after so many kills."""

    @contextmanager
    def counted(last=10**9):
        done = []

        def before(connection, cursor, statement, *_):
            if statement.split()[0] in ("INSERT", "UPDATE", "DELETE", "CREATE"):
                if len(done) == last:
                    raise Killed
                done.append(statement)

        event.listen(Engine, "before_cursor_execute", before)
        try:
            yield done
        finally:
            event.remove(Engine, "before_cursor_execute", before)

    return counted


def points(record):
    return [(trial["number"], trial["params"]["rate"], trial["params"]["width"]) for trial in record["trials"]]


@pytest.mark.parametrize("sampler", ["random", "tpe", "cmaes"])
def test_interrupted_three_times_it_is_the_same_search(tmp_path, sampler):
    whole = searched(tmp_path / "whole", launcher([]), sampler=sampler)
    seen, launch = [], None
    launch = launcher(seen, die_at=(0, 8, 17))
    for _ in range(3):
        with pytest.raises(Killed):
            searched(tmp_path / "parts", launch, sampler=sampler)
    parts = searched(tmp_path / "parts", launch, sampler=sampler)
    assert points(parts) == points(whole)
    assert [trial["value"] for trial in parts["trials"]] == [trial["value"] for trial in whole["trials"]]
    assert parts["counts"] == {"done": 20, "pruned": 0, "failed": 0, "unfinished": 0}
    assert len({number for number, *_ in points(parts)}) == 20


@pytest.mark.slow
def test_killed_three_times_no_trial_is_lost_and_none_is_there_twice(tmp_path):
    """A hundred trials by TPE, in a process that is killed for good."""
    program = """
import os, signal, sys
from pathlib import Path
sys.path.insert(0, {tests!r})
from test_search import launcher, searched
seen = []
inner = launcher(seen)
def launch(points, first, judge):
    told = inner(points, first, judge)
    if first + len(points) > {limit}:
        os.kill(os.getpid(), signal.SIGKILL)
    return told
searched(Path({folder!r}), launch, sampler="tpe", trials=100, batch=8)
"""
    folder = tmp_path / "parts"
    for limit in (20, 50, 77, 1000):
        code = program.format(tests=str(__file__).rpartition("/")[0], limit=limit, folder=str(folder))
        ended = subprocess.run([sys.executable, "-c", code])
        assert ended.returncode == (0 if limit == 1000 else -signal.SIGKILL)
    parts = json.loads((folder / layout.SEARCH).read_text())
    whole = searched(tmp_path / "whole", launcher([]), sampler="tpe", trials=100, batch=8)
    assert points(parts) == points(whole)
    assert [number for number, *_ in points(parts)] == list(range(100))
    assert parts["counts"]["done"] == 100


def test_tpe_finds_what_is_best(tmp_path):
    record = searched(tmp_path, launcher([]), sampler="tpe", trials=60, batch=4, at={"rate": None})
    best = dict(text.split("=") for text in record["best"]["typed"])
    assert best["width"] == "32"
    assert abs(float(best["rate"]) - 0.1) < 0.02
    (line,) = [line for line in search_lines(record, tmp_path) if line.startswith("best by meta-validation")]
    assert " ".join(record["best"]["typed"]) in line
    assert record["edges"] == ["width=32 is at the upper edge of 8 to 32"]


def test_trial_0_is_the_default(tmp_path):
    record = searched(tmp_path, launcher([]), trials=3)
    assert record["trials"][0]["params"] == {"rate": 0.1, "width": "16"}
    other = searched(tmp_path / "none", launcher([]), trials=3, at={"rate": 5.0, "width": 16})
    assert other["trials"][0]["params"]["rate"] != 0.1


def test_a_grid_is_gone_through_once_from_the_default_on(tmp_path):
    seen, typed = [], ["rate=0.01,0.1,1", "width=8,16"]
    every = [(rate, width) for rate in (0.01, 0.1, 1) for width in (8, 16)]
    record = searched(tmp_path / "one", launcher(seen), sampler="grid", trials=100, typed=typed)
    assert seen == [(0.1, 16), *(point for point in every if point != (0.1, 16))]
    assert record["counts"]["done"] == 6
    seen.clear()
    searched(tmp_path / "other", launcher(seen), sampler="grid", trials=100, typed=typed, at={"rate": 5, "width": 16})
    assert seen == every, "the default is not among them"


@pytest.mark.parametrize(
    ("sampler", "trials", "first"),
    [("random", 2, "trials"), pytest.param("cmaes", 4, "", marks=pytest.mark.slow)],
)
def test_killed_at_any_write_it_is_the_same_search(tmp_path, writes, sampler, trials, first):
    """What is kept of a trial is whole: each process here ends at a write, which is then not done."""
    how = {"sampler": sampler, "trials": trials, "batch": 2, "at": {}}
    with writes() as done:
        whole = searched(tmp_path / "whole", launcher([]), **how)
    begin = next(place for place, statement in enumerate(done) if f"INSERT INTO {first}" in statement)
    assert len(done) - begin >= 5 * trials
    for last in range(begin, len(done)):
        folder = tmp_path / str(last)
        with writes(last), pytest.raises(Killed):
            searched(folder, launcher([]), **how)
        assert points(searched(folder, launcher([]), **how)) == points(whole)


def test_what_fails_is_recorded_and_passed_over(tmp_path):
    record = searched(tmp_path, launcher([], fail=lambda rate: rate < 0.1))
    failed = [trial for trial in record["trials"] if trial["state"] == "failed"]
    assert 0 < len(failed) == record["counts"]["failed"] < 20
    assert {trial["reason"] for trial in failed} == {"diverged"}
    assert record["best"]["value"] == min(trial["value"] for trial in record["trials"] if trial["value"] is not None)
    assert record["seconds"] == 20


def test_a_trial_that_equals_an_earlier_one_takes_no_time_again(tmp_path):
    def launch(points, first, judge):
        return [TrialResult(1.0, tmp_path / point[0], "", 2.0) for point in points]

    record = searched(tmp_path, launch, typed=["width=8,16"], trials=8, batch=4)
    runs = [trial["run"] for trial in record["trials"]]
    assert [trial["same_as"] for trial in record["trials"]] == [
        None if runs.index(run) == number else runs.index(run) for number, run in enumerate(runs)
    ]
    assert record["seconds"] == 2 * len(set(runs)) == 4


def test_what_failed_is_run_again_for_a_later_trial_that_equals_it(tmp_path):
    def launch(points, first, judge):
        return [TrialResult(None, tmp_path / point[0], "diverged", 2.0, 1) for point in points]

    record = searched(tmp_path, launch, typed=["width=8,16"], trials=8, batch=4)
    runs = [trial["run"] for trial in record["trials"]]
    assert record["seconds"] == 2 * (len(set(runs[:4])) + len(set(runs[4:])))


def test_where_all_fail_there_is_no_best(tmp_path):
    record = searched(tmp_path, launcher([], fail=lambda rate: True), trials=3)
    assert (record["best"], record["edges"]) == (None, [])
    assert len(list(search_lines(record, tmp_path))) == 2


def test_more_trials_go_on_with_the_same_search(tmp_path):
    seen = []
    searched(tmp_path, launcher(seen), trials=6)
    searched(tmp_path, launcher(seen), trials=6)
    assert len(seen) == 6
    record = searched(tmp_path, launcher(seen), trials=12)
    assert len(seen) == 12
    assert points(record) == points(searched(tmp_path / "whole", launcher([]), trials=12))


@pytest.mark.parametrize(
    ("differs", "other"),
    [
        ("searched", {"typed": ["learner=maml", "rate=interval(0,1)", "width=8,16,32"]}),
        ("config", {"config": "an edited one"}),
        ("sampler", {"sampler": "tpe"}),
        ("seed", {"seed": 1}),
        ("batch", {"batch": 2}),
    ],
)
def test_another_search_in_the_same_folder_is_refused(tmp_path, differs, other):
    searched(tmp_path, launcher([]), trials=2)
    with pytest.raises(UserError, match=rf"holds a search with another {differs}; give another name="):
        searched(tmp_path, launcher([]), trials=2, **other)


def test_how_it_is_typed_makes_no_other_search(tmp_path):
    searched(tmp_path, launcher([]), trials=2)
    again = [*reversed(SPACE), "reporter=quiet"]
    seen = []
    record = searched(tmp_path, launcher(seen), trials=2, typed=again)
    assert (seen, record["counts"]["done"]) == ([], 2)


def test_a_storage_of_the_users_holds_several_searches(tmp_path):
    url = f"sqlite:///{tmp_path}/shared.db"
    for name in ("one", "other"):
        seen = []
        record = searched(tmp_path / name, launcher(seen), trials=3, storage=url)
        assert len(seen) == 3
        assert not (tmp_path / name / STORAGE).exists()
        assert url not in json.dumps(record), "it may hold a password"


def test_a_storage_that_is_none_is_refused(tmp_path):
    for url in ("sqlite:////no/such/folder/a.db", "nothing://a"):
        with pytest.raises(UserError, match=r"^hydra\.sweeper\.storage: it can't be used .*URL"):
            searched(tmp_path, launcher([]), storage=url)


def test_all_connections_are_closed_in_the_end(tmp_path):
    changes = []
    counted = (("connect", lambda *_: changes.append(1)), ("close", lambda *_: changes.append(-1)))
    for name, count in counted:
        event.listen(Pool, name, count)
    searched(tmp_path, launcher([]), trials=2)
    for name, count in counted:
        event.remove(Pool, name, count)
    assert changes
    assert sum(changes) == 0


def test_one_process_searches_at_a_time(tmp_path):
    with run_directory.locked(tmp_path), pytest.raises(run_directory.Occupied):
        searched(tmp_path, launcher([]))


def test_a_trial_that_another_process_runs_is_told_later(tmp_path):
    def launch(points, first, judge):
        return [TrialResult(None, None, "", None, occupied=True) for _ in points]

    with pytest.raises(UserError, match="another process runs a trial"):
        searched(tmp_path, launch, trials=2)
    record = searched(tmp_path, launcher([]), trials=2)
    assert record["counts"] == {"done": 2, "pruned": 0, "failed": 0, "unfinished": 0}
