"""The benchmark's programs are those of the package: they must go on fitting it."""

import runpy
from pathlib import Path

import jax
import pytest

BENCHMARK = Path(__file__).parents[2] / "scripts" / "benchmark.py"


@pytest.mark.slow
def test_its_tasks_are_of_the_size_it_says():
    there = runpy.run_path(str(BENCHMARK))
    problem = there["make_problem"](users=8)
    batch = problem.gather(problem.train, problem.draw(jax.random.key(0), problem.train, 4))
    assert batch.label.shape == (4, there["QUERY"])
    assert batch.task.support.y.shape == (4, there["SUPPORT"])
    assert problem.spec.rows == len(problem.train.label)
    there["recmeta_program"](problem, 2, 1, 1, "auto")()
