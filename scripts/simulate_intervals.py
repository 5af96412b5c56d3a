"""Coverage of the intervals over tasks and trainings, by simulation, for the table in docs/statistics.md.

A mean is of one method; a difference is of two, each with trainings of its own. A task's score is ``task + training +
rest``: the tasks' effects have standard deviation 1, the trainings' (common to all tasks) that of the luck, the rest
0.2 for a mean and 0.6 for a difference. Skew 0.7 is that of users' MAE, 2 that of an exponential.

    python scripts/simulate_intervals.py [--times 4000] [--skew 0.7] [--of mean|difference] [--trainings 1 2 3 5 9]
"""

from __future__ import annotations

import argparse

import numpy as np
from jaxtyping import Float

from recmeta.statistics.intervals import LEVEL
from recmeta.statistics.spread import spread
from recmeta.statistics.trainings import Block, luck, luck_of_difference, per_task_mean

TASKS = (5, 10, 20, 40, 74, 100, 529, 1430)
LUCK = (0.0, 0.05, 0.1, 0.3)
REST = {"mean": 0.2, "difference": 0.6}
"""Standard deviation of one training's score of one task, beyond what the two explain, over that of tasks."""


def effects(rng: np.random.Generator, tasks: int, skew: float) -> Float[np.ndarray, "N"]:
    """Independent effects of tasks: a shifted gamma variable of mean 0, standard deviation 1 and this skewness."""
    if not skew:
        return rng.normal(size=tasks)
    shape = 4 / skew**2
    return (rng.gamma(shape, 1, tasks) - shape) / np.sqrt(shape)


def method(
    rng: np.random.Generator, tasks: int, trainings: int, of_training: float, rest: float
) -> Float[np.ndarray, "S N"]:
    """Draw the scores that a method does not share with another: the luck of its trainings, and the rest."""
    shared = rng.normal(0, of_training, (trainings, 1))
    # Of one training nothing is known of luck: the interval is of this training, and so is the truth.
    return shared * (trainings > 1) + rng.normal(0, rest, (trainings, tasks))


def covers(rng: np.random.Generator, of: str, tasks: int, trainings: int, of_training: float, skew: float) -> bool:
    """Whether one interval holds the truth, 0."""
    task, ids = effects(rng, tasks, skew), np.arange(tasks)
    if of == "mean":
        values = task + method(rng, tasks, trainings, of_training, REST[of])
        shared = luck([Block(ids, values)])
    else:
        each = REST[of] / np.sqrt(2), of_training / np.sqrt(2)
        left, right = (method(rng, tasks, trainings, each[1], each[0]) for _ in range(2))
        values = task + left - right
        shared = luck_of_difference([Block(ids, left + task)], [Block(ids, right)])
    means = per_task_mean([Block(ids, values)])
    return spread(means, shared).p(abs(means.mean())) >= LEVEL


def main() -> None:
    """Print a table per number of trainings: luck in rows, tasks in columns, coverage in per cent."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=4000, help="intervals of each cell")
    parser.add_argument("--skew", type=float, default=0.7, help="skewness of tasks' effects, 0 for normal ones")
    parser.add_argument("--of", choices=sorted(REST), default="mean", help="one method's mean, or a difference of two")
    parser.add_argument("--trainings", type=int, nargs="+", default=[1, 2, 3, 5, 9], help="numbers of trainings")
    asked = parser.parse_args()
    for trainings in asked.trainings:
        print(f"\n{trainings} trainings, {asked.of}, skew {asked.skew:g}: coverage in % by luck (rows) and tasks")
        print(f"{'':>6}" + "".join(f"{tasks:>7}" for tasks in TASKS))
        for of_training in LUCK if trainings > 1 else LUCK[:1]:
            rng = np.random.default_rng(trainings)
            found = [
                np.mean([covers(rng, asked.of, tasks, trainings, of_training, asked.skew) for _ in range(asked.times)])
                for tasks in TASKS
            ]
            print(f"{of_training:>6g}" + "".join(f"{100 * share:>7.1f}" for share in found), flush=True)


if __name__ == "__main__":
    main()
