"""Where Hydra finds recmeta's launcher and sweeper: it takes plugins from this namespace package alone.

What they do is in `recmeta.sweeps`.
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
    """Runs a sweep in one process: the runs of one structure as one compiled program.

    Args:
        replicas: how many seeds, of all runs, one program may hold at a time.
    """

    def __init__(self, replicas: int) -> None:
        self.replicas = replicas

    def setup(self, *, hydra_context: HydraContext, task_function: TaskFunction, config: DictConfig) -> None:
        """Called by Hydra."""
        from recmeta.sweeps.composing import Composer  # here: Hydra imports this module at every start

        self.loader, self.config = Composer(hydra_context.config_loader, config), config
        hydra_context.config_loader = cast(Any, self.loader)

    def launch(
        self, job_overrides: Sequence[Sequence[str]], initial_job_idx: int, prune: Prune | None = None
    ) -> Sequence[JobReturn]:
        """Run runs, and return for each the value on meta-validation; None where there is none.

        Args:
            job_overrides: of each run.
            initial_job_idx: the number of the first.
            prune: stops runs early; None: none.
        """
        from recmeta.sweeps import fused  # here: Hydra imports this module at every start

        composed: Any = fused.compose(self.loader.load_sweep_config, self.config, job_overrides, initial_job_idx)
        values = fused.run_sweep(composed, self.replicas, prune or fused.keep_all)
        return [fused.returned(each, value) for each, value in zip(composed, values, strict=True)]


class OptunaSweeper(Sweeper):
    """Searches the settings that are typed as ranges or choices.

    Args:
        sampler, trials, batch, seed, pruner, storage: see `recmeta.sweeps.search.Settings`.
        params: setting -> what to search, besides what is typed.
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
        """Called by Hydra."""
        self.launcher = Plugins.instance().instantiate_launcher(
            hydra_context=hydra_context, task_function=task_function, config=config
        )
        self.loader, self.config = hydra_context.config_loader, config  # the launcher's own, where it has one

    def sweep(self, arguments: list[str]) -> Any:
        """Search, and give the record of the search."""
        from recmeta.types import UserError

        try:
            from recmeta.sweeps import sweeper  # here: Hydra imports this module at every start
        except ModuleNotFoundError as error:
            if error.name != "optuna":
                raise
            raise UserError("hydra/sweeper=optuna needs a library: pip install 'recmeta[sweeps]'") from error
        typed = [*(f"{key}={values}" for key, values in self.params.items()), *arguments]
        return sweeper.sweep(self.loader, self.config, self.launcher, self.settings, typed)
