"""Keep a search in an Optuna storage: open it, write to its running trials, and close its connections."""

from __future__ import annotations

from typing import Any, Literal, NamedTuple

import optuna
from optuna.storages import BaseStorage, RDBStorage
from optuna.study import StudyDirection


class Stored(NamedTuple):
    """A study and the storage that keeps it.

    Optuna lets only the process that asked for a trial write to it. One that resumes a killed search writes through
    the storage, by the trial's number.

    Attributes:
        study: Optuna's.
        storage: where it is kept.
        id: of the study in the storage, which may hold others.
    """

    study: optuna.Study
    storage: BaseStorage
    id: int

    def annotate(self, number: int, key: str, value: Any) -> None:
        """Set a user attribute of a running trial."""
        trial = self.storage.get_trial_id_from_study_id_trial_number(self.id, number)
        self.storage.set_trial_user_attr(trial, key, value)

    def report(self, number: int, step: int, value: float) -> None:
        """Set the value of a running trial at a step."""
        trial = self.storage.get_trial_id_from_study_id_trial_number(self.id, number)
        self.storage.set_trial_intermediate_value(trial, step, value)

    def close(self) -> None:
        """Close all connections: Python 3.13 warns of an SQLite connection that is left open."""
        self.storage.remove_session()
        if isinstance(self.storage, RDBStorage):
            self.storage.engine.dispose()


def store(storage: BaseStorage, name: str, goal: Literal["min", "max"]) -> Stored:
    """Create a study in a storage, or load it where it is there.

    Args:
        storage: Optuna's.
        name: of the study.
        goal: of its value.
    """
    direction = StudyDirection.MINIMIZE if goal == "min" else StudyDirection.MAXIMIZE
    study = optuna.create_study(storage=storage, study_name=name, direction=direction, load_if_exists=True)
    return Stored(study, storage, storage.get_study_id_from_name(name))
