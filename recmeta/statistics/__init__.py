"""From task scores to intervals, tests and a verdict. On the host; reads no training code.

The table of task scores is a polars frame, one row per (scenario, method, seed, shots, task): the columns `KEYS` and
``n_query``, then one Float64 column per metric, NaN or null where it is undefined or where the method lacks the
prediction that the metric reads. ``method`` is "model" or a baseline's name; ``seed`` is null for methods without one.
Columns of any other type, and those named in `ABOUT`, describe the task and are no metrics.

One weighting, everywhere: a task's scores are averaged over its seeds, then over the splits it appears in, then tasks
are averaged. A user counts once, however often the experiment was repeated.
"""

from recmeta.statistics.bucketing import buckets
from recmeta.statistics.comparisons import TESTS, Comparison, paired
from recmeta.statistics.families import CORRECTIONS, Correction, all_pairs, benjamini_hochberg, holm
from recmeta.statistics.intervals import LEVEL, mean_of
from recmeta.statistics.ranks import Ranking, rank
from recmeta.statistics.scores import ABOUT, KEYS, about_names, differences, matrix, metric_names, per_task
from recmeta.statistics.summary import summarise, verdict
from recmeta.statistics.trainings import blocks, luck_of_difference, mean_interval
from recmeta.statistics.words import best_of, number, wording

__all__ = [
    "ABOUT",
    "CORRECTIONS",
    "KEYS",
    "LEVEL",
    "TESTS",
    "Comparison",
    "Correction",
    "Ranking",
    "about_names",
    "all_pairs",
    "benjamini_hochberg",
    "best_of",
    "blocks",
    "buckets",
    "differences",
    "holm",
    "luck_of_difference",
    "matrix",
    "mean_interval",
    "mean_of",
    "metric_names",
    "number",
    "paired",
    "per_task",
    "rank",
    "summarise",
    "verdict",
    "wording",
]
