"""Set up and end a command: exit codes, checks around a sweep, JAX's compile cache and devices."""

from __future__ import annotations

import os
import platform
import sys
import traceback
from collections.abc import Callable, Iterator, Sequence
from contextlib import suppress
from importlib.metadata import version
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import jax
import platformdirs
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recmeta import __version__
from recmeta.experiment import failures
from recmeta.experiment.failures import Failure, explain, failed, say
from recmeta.reporters.console import standard_output, writer
from recmeta.results.status import sweep_runs
from recmeta.runs import directory as run_directory
from recmeta.runs import layout
from recmeta.runs.files import one_line, read_json, write
from recmeta.runs.provenance import PACKAGES
from recmeta.sweeps import ending
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


def versions_line() -> str:
    """The versions of recmeta, of Python, and of the packages that numbers depend on."""
    packages = ", ".join(f"{name} {version(name)}" for name in PACKAGES)
    return f"recmeta {__version__} (Python {platform.python_version()}, {packages})"


def print_help(typed: Sequence[str]) -> None:
    """Print the help: of the groups that are typed, else of all."""
    from recmeta.config import help  # here: a run needs none

    out = standard_output()
    for line in help.page(typed, out.width):
        print(line)


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
        keep_sweep(Path(config.hydra.sweep.dir))

    def on_multirun_end(self, config: DictConfig, **kwargs: Any) -> None:
        """Collect the failures of other processes from their run directories; a process knows its own."""
        if config.reporter or "trials" in config.hydra.sweeper:  # reporter=quiet says nothing
            ended.append(Path(config.hydra.sweep.dir))
        if not failed:
            for output, name in product(_values(config, "output"), _values(config, "name")):
                failed.extend(recorded(Path(output) / name, Path(config.hydra.sweep.dir)))


class Before(NamedTuple):
    """A folder as it was before a sweep.

    Attributes:
        line: the line of the sweep before, and its time in nanoseconds; None where there was none.
        lacking: the folders that are made for this one, the innermost first.
    """

    line: tuple[bytes, int] | None
    lacking: Sequence[Path]


begun: dict[Path, Before] = {}
"""The folders of this process's sweeps, by the file of the sweep's line."""


def keep_sweep(folder: Path) -> None:
    """Keep the line of the sweep that a folder holds: Hydra writes the next one over it before it has read that."""
    path = folder / layout.SWEEP
    line = (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else None
    begun[path] = Before(line, [each for each in (folder, *folder.parents) if not each.exists()])


def undo_sweeps() -> None:
    """Leave the folders of refused sweeps as they were: none of their runs was begun.

    Folders that were made for nothing but the runs' failures are removed.
    """
    for folders in failures.made:
        run_directory.discard(folders)
    for path, before in begun.items():
        if before.line:
            write(path, before.line[0])
            os.utime(path, ns=(before.line[1], before.line[1]))
        else:
            path.unlink(missing_ok=True)
        for folder in before.lacking:
            with suppress(OSError):  # not empty
                folder.rmdir()


def all_refused() -> bool:
    """Whether all runs of this process's sweep were refused, as errors of the user."""
    if len(begun) != 1 or not failed or any(failure.code != 2 for failure in failed):
        return False
    try:
        return len(failures.made) == len(failed) == len(sweep_runs(*begun))
    except UserError:
        return False


ended: list[Path] = []
"""The folders of the sweeps that ended in this process, but for quiet ones."""


def end_sweeps() -> None:
    """Print the last lines of the sweeps of this process, after all failures."""
    out = standard_output()
    for folder in ended:
        try:
            for part in ending.ending(folder, out.width):
                writer(out)(part)
        except (UserError, OSError) as error:  # the runs are what they are
            say(f"{folder}: the table of its runs can't be printed ({one_line(error)})")


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
