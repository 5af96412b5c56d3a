"""A run to record, and what a finished one hands over: as the reporters' tests have them."""

from tests.reporters.conftest import make_run, summary, task_scores

__all__ = ["make_run", "summary", "task_scores"]
