"""Where Hydra finds recmeta's launcher: it takes plugins from this namespace package alone. What they do is in
`recmeta.sweeps`."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig


class FusedLauncher(Launcher):
    """Runs the points of a sweep together, those of one structure as one compiled program.

    Args:
        members: how many seeds of all points one program may hold at a time.
    """

    def __init__(self, members: int) -> None:
        self.members = members

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        self.context, self.config = hydra_context, config

    def launch(self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int) -> Sequence[JobReturn]:
        """Run points, and give for each the value on meta-validation; None where there is none."""
        from recmeta.sweeps import launch  # here: Hydra imports this module at every start

        composed: Any = launch.compose(self.context.config_loader, self.config, job_overrides, initial_job_idx)
        values = launch.run(composed, self.members)
        return [launch.returned(each, value) for each, value in zip(composed, values, strict=True)]
