"""Hydra plugins: recmeta's launcher and sweeper. Hydra looks for plugins in this namespace package alone.

The implementation is in `recmeta.sweeps`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, cast

from hydra.core.plugins import Plugins
from hydra.core.utils import JobReturn
from hydra.plugins.launcher import Launcher
from hydra.plugins.sweeper import Sweeper
from hydra.types import HydraContext, TaskFunction
from omegaconf import DictConfig

if TYPE_CHECKING:
    from recmeta.experiment.block import Prune


class FusedLauncher(Launcher):
    """Run a sweep in one process: the runs of one structure as one compiled program.

    Args:
        replicas: the most seeds, over all runs, in one program at a time.
        beside: overrides of a run that is made beside each (`recmeta.sweeps.composing.with_beside`).
    """

    def __init__(self, replicas: int, beside: Sequence[str] = ()) -> None:
        self.replicas, self.beside = replicas, list(beside)

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store the loader and the config; called by Hydra."""
        from recmeta.sweeps.composing import Composer  # here: Hydra imports this module at every start

        self.loader, self.config = Composer(hydra_context.config_loader, config), config
        hydra_context.config_loader = cast(Any, self.loader)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, prune: Prune | None = None
    ) -> Sequence[JobReturn]:
        """Run a batch of runs; returns the value of each on meta-validation, None where there is none.

        Args:
            job_overrides: the overrides of each run.
            initial_job_idx: the number of the first.
            prune: stops runs early; None: never.
        """
        from recmeta.sweeps import composing, fused  # here: Hydra imports this module at every start

        lines, asked = composing.with_beside(job_overrides, self.beside)
        composed: Any = fused.compose(self.loader.load_sweep_config, self.config, lines, initial_job_idx)
        total = self.config.hydra.sweeper.get("trials")  # a search asks for its trials in batches
        values = fused.run_sweep(composed, self.replicas, prune or fused.keep_all, initial_job_idx, total)
        returned = [fused.returned(each, value) for each, value in zip(composed, values, strict=True)]
        return [returned[place] for place in asked]  # a search reads one for each of its trials


class OptunaSweeper(Sweeper):
    """Search over the settings that are given as ranges or choices.

    Args:
        sampler, trials, batch, seed, pruner, storage: see `recmeta.sweeps.search.Settings`.
        params: setting -> values to search, besides those on the command line.
    """

    def __init__(
        self, sampler: str, trials: int, batch: int, seed: int, pruner: str, storage: str | None,
        params: Mapping[str, str],
    ) -> None:  # fmt: skip
        self.settings = {
            "sampler": sampler, "trials": trials, "batch": batch, "seed": seed, "pruner": pruner, "storage": storage
        }  # fmt: skip
        self.params = params

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Store the loader, the launcher and the config; called by Hydra."""
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.loader, self.config = hydra_context.config_loader, config  # the launcher's own, where it has one

    def sweep(self, arguments: list[str]) -> Any:
        """Search; returns the record of the search."""
        from recmeta.types import UserError

        try:
            from recmeta.sweeps import sweeper  # here: Hydra imports this module at every start
        except ModuleNotFoundError as error:
            if error.name != "optuna":
                raise
            raise UserError("hydra/sweeper=optuna needs a library: pip install 'recmeta[sweeps]'") from error
        typed = [*(f"{key}={values}" for key, values in self.params.items()), *arguments]
        return sweeper.sweep(self.loader, self.config, self.launcher, self.settings, typed)
