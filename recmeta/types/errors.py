"""Errors that are the user's to put right, and the ends of a training that are no defect."""

from __future__ import annotations


class UserError(Exception):
    """An error that the user can put right: one line with the setting, its value, and the allowed ones. Exit code 2."""


class Diverged(UserError):
    """A training that could be run and came to no numbers: a result, if a bad one. Exit code 1."""


class Pruned(Exception):
    """A search gave a run up before its end; nothing failed.

    Attributes:
        step: at which it was.
        value: that it had on meta-validation, the mean over its seeds of each one's best so far.
    """

    def __init__(self, step: int, value: float) -> None:
        super().__init__(f"given up at step {step}, with {value:.4f} on meta-validation")
        self.step, self.value = step, value
