"""Set up and end a command: exit codes, checks around a sweep, JAX's compile cache and devices."""

from __future__ import annotations

import os
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any

import jax
import platformdirs
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recmeta.experiment.failures import Failure, explain, failed, say
from recmeta.runs import directory as run_directory
from recmeta.runs import layout
from recmeta.runs.files import read_json
from recmeta.types import UserError


def conclude(failed: Sequence[Failure]) -> int:
    """Print the failures, and return the exit code: 0 without any, 2 where all are errors of the user, else 1."""
    if failed:
        say(failed[0].line if len(failed) == 1 else f"{len(failed)} of the sweep's runs failed")
    return min((failure.code for failure in failed), default=0)


def overrides_first(typed: Sequence[str]) -> list[str]:
    """Put overrides before flags: Hydra's parser stops taking overrides at the first flag that follows one.

    >>> overrides_first(["learner=maml", "-m", "seeds=[0],[1]"])
    ['learner=maml', 'seeds=[0],[1]', '-m']
    """
    return sorted(typed, key=lambda text: text.startswith("-") or not ("=" in text or text.startswith("~")))


def find_own_components() -> None:
    """Let components be imported from the working directory, as `python -m` does and an installed script does not.

    It comes last, so that no file in it hides a library; where Python is told not to look there, it stays out.
    """
    here = os.getcwd()
    if not sys.flags.safe_path and here not in sys.path and "" not in sys.path:
        sys.path.append(here)


class AroundSweep(Callback):
    """Before a sweep and after it (conf/config.yaml).

    Refuses one that can't be written where it is to be, before Hydra makes its folder. Afterwards, where a launcher ran
    the points in other processes, reads what failed there.
    """

    def on_multirun_start(self, config: DictConfig, **kwargs: Any) -> None:
        """Check every name and output of the sweep. Hydra passes no exception of a callback on, but for an exit."""
        try:
            for name in _values(config, "name"):
                run_directory.check_name(name)
            for output in _values(config, "output"):
                run_directory.check_writable(Path(output))
        except UserError as error:
            say(explain(error))
            sys.exit(2)

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Collect the failures of other processes from their run directories; a process knows its own."""
        if not failed:
            for output, name in product(_values(config, "output"), _values(config, "name")):
                failed.extend(recorded(Path(output) / name, Path(config.hydra.sweep.dir)))


def recorded(folder: Path, sweep: Path) -> Iterator[Failure]:
    """Read the failures that were recorded in a folder since a sweep began.

    Not what a search gave up, whose code is 0, nor a run that was killed before its sweep wrote down a code.

    Args:
        folder: of runs.
        sweep: where Hydra left the sweep's line as it began.
    """
    begun = sweep / layout.SWEEP
    for path in sorted(folder.glob(f"*/{layout.FAILURE}")):
        if begun.exists() and path.stat().st_mtime_ns >= begun.stat().st_mtime_ns:
            said = read_json(path) or {}
            if code := said.get("code"):
                yield Failure(f"{' '.join(said['overrides'])}: {said['error']}", code)


def _values(config: DictConfig, key: str) -> list[str]:
    """The values that a sweep gives to a root key, or the one that it has."""
    parser = OverridesParser.create()
    for text in OmegaConf.to_container(config.hydra.overrides.task) or ():
        override = parser.parse_override(str(text))
        if override.key_or_group == key and override.is_sweep_override():
            return [str(value) for value in override.sweep_iterator()]
    return [str(config[key])]


def configure_jax() -> None:
    """Configure JAX: a compile cache on disk, and each core of a CPU as a device.

    The cache is in the user's cache folder unless JAX_COMPILATION_CACHE_DIR names another; devices are those that this
    process may use, unless JAX_NUM_CPU_DEVICES or XLA_FLAGS give their number.
    """
    where = os.environ.get("JAX_COMPILATION_CACHE_DIR", platformdirs.user_cache_dir("recmeta/jax"))
    jax.config.update("jax_compilation_cache_dir", where)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    told = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if jax.config.values["jax_num_cpu_devices"] < 0 and not told:
        with suppress(RuntimeError):  # where JAX is in use already, it has its devices
            jax.config.update("jax_num_cpu_devices", cores())


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """Count the cores that this process may use; all, where a system has no limit.

    Args:
        quota: where Linux says what share of the cores a container may use.
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed, _, period = quota.read_text(encoding="ascii").partition(" ") if quota.exists() else ("max", "", "")
    return there if allowed == "max" else max(1, min(there, round(int(allowed) / int(period))))


def is_refusal(error: BaseException, job: Callable[..., Any]) -> bool:
    """Whether an error is a refusal of the command line by Hydra; one from within a job is a defect."""
    if any(frame.f_code is job.__code__ for frame, _ in traceback.walk_tb(error.__traceback__)):
        return False
    return isinstance(error, UserError | HydraException | OmegaConfBaseException | ValueError | OSError)
