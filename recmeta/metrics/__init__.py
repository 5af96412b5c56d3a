"""Metrics of a task's scores: pure, jittable functions of ONE task, to be vmapped over tasks.

`view` holds the ranks of a task's judged rows among its candidates; `ratings`, `rankings` and `legacy` hold the
metrics, functions of a view alone; `names` finds one by its name. `lists` measures the recommended items instead of
labels: novelty, diversity, coverage of the catalogue. `docs/metrics.md` has a paragraph on each.

Where scores tie, a ranking metric is its exact expectation over the orders of the tied candidates: it depends neither
on the order of the rows nor on a random number, and a constant scorer scores exactly the random floor. A metric is NaN
where it is undefined, and where a score that it reads is NaN.
"""

from recmeta.metrics.names import (
    ALLOWED,
    Metric,
    aggregate,
    check,
    check_cutoff,
    check_floor,
    is_name,
    metric,
    oracle,
    random_floor,
    sound,
)
from recmeta.metrics.view import View, at_random, catalogue_view, ideal, query_view

__all__ = [
    "ALLOWED",
    "Metric",
    "View",
    "aggregate",
    "at_random",
    "catalogue_view",
    "check",
    "check_cutoff",
    "check_floor",
    "ideal",
    "is_name",
    "metric",
    "oracle",
    "query_view",
    "random_floor",
    "sound",
]
