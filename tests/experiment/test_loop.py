"""Points that leave a program: the others are as if they had never been there, and the program becomes smaller."""

import json
from contextlib import contextmanager

import numpy as np
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import schema, versions
from recmeta.experiment import loop, prepare
from recmeta.experiment import run as experiment
from recmeta.runs import provenance
from recmeta.types import Pruned, UserError

RATES = (0.003, 0.01, 0.03, 0.1, 0.2)
AT = {0: 2, 2: 4, 1: 6, 4: 6}


def made(small, folder):
    """Five runs of five rates, two seeds each, at six chunks; and what they work with."""
    schema.register()
    common = [*small, "optimizer=sgd", "seeds=[0,1]", "steps=12", f"output={folder}"]
    planned = []
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        for rate in RATES:
            composed = compose("config", [*common, f"optimizer.learning_rate={rate}"])
            planned.append(prepare.plan(OmegaConf.to_container(composed, resolve=True), [], multirun=True))
    return planned, prepare.prepare(planned[0], *prepare.load(planned[0].parts))


@pytest.fixture
def points(small, tmp_path):
    """``points()``: as `made` has them, in one folder."""
    return lambda: made(small, tmp_path / "some")


@contextmanager
def counted():
    """Of each chunk that is run, how many members its program has."""
    seen, go_on = [], loop.run_chunks

    def counting(progress, *args, **how):
        for progress, reported in go_on(progress, *args, **how):  # noqa: B020
            seen.append((reported.step, len(reported.stopped)))
            yield progress, reported

    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(loop, "run_chunks", counting)
        yield seen


@pytest.fixture
def sizes():
    with counted() as seen:
        yield seen


def run(points, made, where, prune=lambda step, values: {}):
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    return experiment.run_block(points, made, where, clock, compiled, prune)


def given_up(points):
    """Gives up one of five points after the first chunk, one after the second, and two after the third."""

    def prune(step, values):
        return {points[place].directory: Pruned(when, 0.5) for place, when in AT.items() if when <= step}

    return prune


@pytest.fixture(scope="module")
def whole(small, tmp_path_factory):
    """What becomes of the runs where none is given up, and the sizes of their chunks."""
    folder = tmp_path_factory.mktemp("whole")
    with counted() as seen:
        return run(*made(small, folder), folder / "checkpoints"), seen


@pytest.fixture(scope="module")
def left(small, tmp_path_factory):
    """The runs of which four are given up, what becomes of them, and the sizes of their chunks."""
    folder = tmp_path_factory.mktemp("left")
    some, with_them = made(small, folder)
    with counted() as seen:
        return some, run(some, with_them, folder / "checkpoints", given_up(some)), seen


def close(one, other):
    """Two summaries, to what programs of other shapes make of the same numbers."""
    np.testing.assert_allclose(one["validation"]["value"], other["validation"]["value"], rtol=1e-4)
    np.testing.assert_allclose(one["metric"]["value"], other["metric"]["value"], rtol=1e-4)


def test_points_that_are_given_up_leave_and_the_others_are_as_they_would_be(whole, left):
    (everyone, sizes_of_all), (some, found, sizes) = whole, left
    assert {size for _, size in sizes_of_all} == {10}
    # Of ten members eight are left, six, and two: in a program of three, and one more for the second device.
    assert sizes == [(2, 10), (4, 10), (6, 10), (8, 4), (10, 4), (12, 4)]
    close(found[3], everyone[3])
    assert [(found[place].step, str(found[place])) for place in (0, 4)] == [
        (step, f"given up at step {step}, with 0.5000 on meta-validation") for step in (2, 6)
    ]
    told = [(point.directory / "metrics.jsonl").read_text().splitlines() for point in some]
    assert [json.loads(lines[-1])["step"] for lines in told] == [2, 6, 4, 12, 6]
    # Who leaves early pays for what there was of it, and who stays for the rest.
    assert found[3]["speed"]["wall_s"] > everyone[3]["speed"]["wall_s"] / 5


@pytest.mark.slow
def test_what_is_told_is_the_mean_of_the_bests_so_far(points, tmp_path):
    told = {}

    def prune(step, values):
        told[step] = dict(values)
        return {}

    some, with_them = points()
    found = run(some, with_them, tmp_path / "checkpoints", prune)
    assert sorted(told) == [0, 2, 4, 6, 8, 10], "not at the end, when there is nothing to give up"
    assert told[0] == {}
    for point, summary in zip(some, found, strict=True):
        lines = map(json.loads, (point.directory / "metrics.jsonl").read_text().splitlines())
        each = np.array([line["mae"] for line in lines if line["split"] == "validation"])
        best = np.minimum.accumulate(each, axis=0).mean(axis=1)
        np.testing.assert_allclose([told[step][point.directory] for step in sorted(told)[1:]], best[:-1], rtol=1e-6)
        assert summary["validation"]["value"] == pytest.approx(best[-1])


@pytest.mark.parametrize("end", [3, pytest.param(4, marks=pytest.mark.slow), pytest.param(5, marks=pytest.mark.slow)])
def test_interrupted_it_goes_on_with_those_that_are_left(left, points, sizes, tmp_path, end):
    """Interrupted before it is saved that two more are gone, after it, and in the smaller program."""
    _, expected, chunks = left
    some, with_them = points()
    prune, where = given_up(some), tmp_path / "checkpoints"

    def interrupted(step, values):
        if values and len(sizes) == end:
            raise KeyboardInterrupt
        return prune(step, values)

    with pytest.raises(KeyboardInterrupt):
        run(some, with_them, where, interrupted)
    some, with_them = points()
    found = run(some, with_them, where, prune)
    assert sizes == [*chunks[:end], *chunks[end - 1 :]], "the chunk that was not saved is run again"
    assert found[3]["scores"] == expected[3]["scores"], "to the last digit"


@pytest.mark.slow
def test_who_had_left_does_not_go_on_with_a_block_that_did(whole, points, tmp_path):
    """Interrupted after four of five were given up, and gone on with by a line that gives none up."""
    expected, _ = whole
    some, with_them = points()
    prune, where = given_up(some), tmp_path / "checkpoints"

    def interrupted(step, values):
        if step == 8:
            raise KeyboardInterrupt
        return prune(step, values)

    with pytest.raises(KeyboardInterrupt):
        run(some, with_them, where, interrupted)
    some, with_them = points()
    found = run(some, with_them, where)
    close(found[3], expected[3])
    for place in AT:
        assert isinstance(found[place], UserError)
        assert "left a block that is at step 6, and was last kept at" in str(found[place])
        assert not (some[place].directory / "summary.json").exists()
