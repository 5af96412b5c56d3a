"""The only run entry point: compose, build, run."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import hydra
from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recmeta import cli, schema
from recmeta.types import UserError

HERE = Path(__file__).parent
CONF = HERE / "conf" if (HERE / "conf").is_dir() else HERE.parent / "conf"
"""In an installed wheel, conf/ lies inside the package; in the repository, beside it."""

failed: list[str] = []


def job(config: DictConfig) -> float | None:
    """Run one point. In a sweep, a point that fails is recorded, and the sweep goes on."""
    from recmeta.experiment import run

    hydra_config = HydraConfig.get()
    overrides = list(hydra_config.overrides.task)
    multirun = hydra_config.mode == RunMode.MULTIRUN
    plain = OmegaConf.to_container(config, resolve=True)
    assert isinstance(plain, dict)
    try:
        return run({str(key): value for key, value in plain.items()}, overrides, multirun=multirun)["metric"]["value"]
    except UserError as error:
        if not multirun:
            raise
        failed.append(" ".join(overrides))
        print(f"recmeta: {' '.join(overrides)}: {error}", file=sys.stderr)
        return None


def main() -> None:
    """Run from the command line; exit code 2 for what the user can put right, 1 for a defect."""
    # Hydra then raises instead of printing pages; what it raises is said in one line below.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    schema.register()
    cli.configure_jax()
    try:
        hydra.main(config_path=str(CONF), config_name="config", version_base="1.3")(job)()
    except (UserError, hydra.errors.HydraException, OmegaConfBaseException) as error:
        sys.exit(cli.refuse(error))
    if failed:
        print(f"recmeta: {len(failed)} of the sweep's points failed: {'; '.join(failed)}", file=sys.stderr)
        sys.exit(2)


if __name__ == "__main__":
    main()
