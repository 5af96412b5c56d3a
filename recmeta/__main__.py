"""The only run entry point: compose, build, run."""

from __future__ import annotations

import os
import sys
from typing import Any

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recmeta import cli, schema
from recmeta.types import UserError

failed: list[str] = []
"""What could not be run, and why: a line each."""


def job(config: DictConfig) -> float | None:
    """Run one point. What the user can put right is kept for the end: a sweep goes on, and Hydra adds no lines."""
    from recmeta import experiment

    hydra_config = HydraConfig.get()
    overrides: Any = OmegaConf.to_container(hydra_config.overrides.task)  # as typed: unresolved
    multirun = hydra_config.mode == RunMode.MULTIRUN
    plain: Any = {}
    try:
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        return experiment.run(plain, overrides, multirun=multirun)["metric"]["value"]
    except (UserError, OmegaConfBaseException) as error:
        failed.append(cli.explain(error))
        if multirun:
            cli.say(f"{' '.join(overrides)}: {failed[-1]}")
            experiment.record_failure(plain, overrides, error)
        return None


def main() -> None:
    """Run from the command line; exit code 2 for what the user can put right, 1 for a defect."""
    # Hydra then raises instead of printing pages; what it raises is said in one line below.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    failed.clear()
    schema.register()
    cli.configure_jax()
    try:
        hydra.main(config_path=str(schema.CONF), config_name="config", version_base="1.3")(job)()
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        if not cli.is_refusal(error):
            raise
        failed[:] = [cli.explain(error)]
    if failed:
        cli.say(failed[0] if len(failed) == 1 else f"{len(failed)} of the sweep's points failed")
        sys.exit(2)


if __name__ == "__main__":
    main()
