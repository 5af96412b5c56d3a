"""Run the command line: compose a config, run it, report errors in one line."""

from __future__ import annotations

import os
import sys

_HERE = os.path.dirname(os.path.abspath(__file__))
if sys.path and os.path.abspath(sys.path[0]) == _HERE:
    # Run as a file: this folder's packages (types, statistics) would hide the standard library's.
    sys.path[0] = os.path.dirname(_HERE)

from typing import Any

from hydra.core.hydra_config import HydraConfig
from hydra.types import RunMode
from omegaconf import DictConfig, OmegaConf

from recmeta import cli
from recmeta.config import schema, typed, versions
from recmeta.experiment import failures
from recmeta.runs import directory as run_directory
from recmeta.sweeps import ending


def job(config: DictConfig) -> float | None:
    """Run one run, and return its value on meta-validation, which a search may look at.

    In a sweep what goes wrong is recorded, and the sweep goes on; only an interrupt ends it.
    """
    from recmeta.experiment import run as experiment

    cli.configure_jax()  # here too: a launcher may have started this process
    hydra_config = HydraConfig.get()
    overrides: Any = OmegaConf.to_container(hydra_config.overrides.task)  # as typed: unresolved
    multirun = hydra_config.mode == RunMode.MULTIRUN
    plain: Any = {}
    title = ending.title(hydra_config, overrides) if multirun else ""
    try:
        typed.check_typed(overrides, hydra_config.runtime.choices, multirun=multirun)
        plain = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
        if multirun:
            ending.placed[tuple(overrides)] = run_directory.place(plain)
        return experiment.run(plain, overrides, multirun=multirun, title=title).get("validation", {}).get("value")
    except Exception as error:
        if failures.is_defect(error) and not multirun:
            raise
        if multirun:
            failures.record(error, plain, overrides, title)
        else:
            failures.failed.append(failures.failure(error))
        return None


def main() -> None:
    """Run from the command line; exit code 2 for errors of the user, 1 for all others."""
    # Hydra then raises instead of printing pages; what it raises is said in one line below.
    os.environ["HYDRA_FULL_ERROR"] = "1"
    sys.argv[1:] = cli.overrides_first(typed.plain_values(sys.argv[1:]))
    cli.find_own_components()
    if "--version" in sys.argv:
        print(cli.versions_line())
        return
    for kept in (failures.failed, failures.made, ending.placed, cli.begun, cli.ended):
        kept.clear()
    schema.register()
    cli.configure_jax()
    try:
        if {"-h", "--help"} & set(sys.argv):
            cli.print_help([text for text in sys.argv[1:] if not text.startswith("-")])
            return
        versions.main(str(schema.CONF), job)()
    except KeyboardInterrupt:
        failures.say("interrupted; the same command resumes")
        sys.exit(130)  # as shells have it
    except Exception as error:
        if not cli.is_refusal(error, job):
            raise
        failures.failed[:] = [failures.Failure(failures.explain(error), code=2)]
        cli.undo_sweeps()
    code = cli.conclude(failures.failed)
    if cli.all_refused():
        cli.undo_sweeps()
    else:
        cli.end_sweeps()
    sys.exit(code)


if __name__ == "__main__":
    main()
