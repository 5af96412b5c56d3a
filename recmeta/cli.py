"""What the command line needs beside Hydra: errors in one line, and where compiled programs are kept."""

from __future__ import annotations

import json
import os
import re
import sys
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import suppress
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple

import jax
import platformdirs
from hydra.core.override_parser.overrides_parser import OverridesParser
from hydra.errors import HydraException, MissingConfigException, OverrideParseException
from hydra.experimental.callback import Callback
from omegaconf import DictConfig, OmegaConf
from omegaconf.errors import OmegaConfBaseException

from recmeta import run_directory, schema
from recmeta.types import Diverged, UserError

_NO_NAME = "Config group override must be"
"""How Hydra's ValueError for a group that is set to what is no name (``learner=3``, ``=3``) begins."""


class Failure(NamedTuple):
    """Why a point could not be run, in one line, and the exit code: 2 for what was typed, 1 for all else."""

    line: str
    code: int


failed: list[Failure] = []
"""What could not be run by this process, and why."""


def record(error: Exception, config: Mapping[str, Any], overrides: Sequence[str]) -> None:
    """Note that a point of a sweep failed, say so, and write it down where its run would be."""
    failed.append(failure(error))
    say(f"{' '.join(overrides)}: {failed[-1].line}")
    run_directory.record_failure(config, overrides, error, failed[-1].code)


def is_defect(error: BaseException) -> bool:
    """Whether an error of a job is recmeta's fault, and not what was typed."""
    return not isinstance(error, UserError | OmegaConfBaseException)


def failure(error: Exception) -> Failure:
    """Why a job failed; where a defect is, is shown."""
    if is_defect(error):
        traceback.print_exception(error)
    return Failure(explain(error), 1 if is_defect(error) or isinstance(error, Diverged) else 2)


def conclude(failed: Sequence[Failure]) -> int:
    """Say what failed, and give the exit code: 0 where nothing did, 2 where nothing but what was typed did, else 1."""
    if failed:
        say(failed[0].line if len(failed) == 1 else f"{len(failed)} of the sweep's points failed")
    return min((failure.code for failure in failed), default=0)


def overrides_first(typed: Sequence[str]) -> list[str]:
    """Put overrides before flags: Hydra's parser stops taking overrides at the first flag that follows one.

    >>> overrides_first(["learner=maml", "-m", "seeds=[0],[1]"])
    ['learner=maml', 'seeds=[0],[1]', '-m']
    """
    return sorted(typed, key=lambda text: text.startswith("-") or not ("=" in text or text.startswith("~")))


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
        """A process's own failures are known; those of others stand in the points' directories."""
        if not failed:
            for output, name in product(_values(config, "output"), _values(config, "name")):
                failed.extend(recorded(Path(output) / name, Path(config.hydra.sweep.dir)))


def recorded(folder: Path, sweep: Path) -> Iterator[Failure]:
    """What failed in a folder since a sweep began, by what was written down.

    Not what a search gave up, whose code is 0, nor a run that was killed before its sweep wrote down a code.

    Args:
        folder: of runs.
        sweep: where Hydra left the sweep's line as it began.
    """
    begun = sweep / "multirun.yaml"
    for path in sorted(folder.glob("*/failure.json")):
        if begun.exists() and path.stat().st_mtime_ns >= begun.stat().st_mtime_ns:
            said = json.loads(path.read_text(encoding="utf-8"))
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
    """Keep compiled programs on disk between runs, in the user's cache unless JAX_COMPILATION_CACHE_DIR says where; and
    make each core of a CPU that this process may use a device, unless JAX_NUM_CPU_DEVICES or XLA_FLAGS say how many."""
    where = os.environ.get("JAX_COMPILATION_CACHE_DIR", platformdirs.user_cache_dir("recmeta/jax"))
    jax.config.update("jax_compilation_cache_dir", where)
    jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.0)
    jax.config.update("jax_persistent_cache_min_entry_size_bytes", -1)
    told = "xla_force_host_platform_device_count" in os.environ.get("XLA_FLAGS", "")
    if jax.config.values["jax_num_cpu_devices"] < 0 and not told:
        with suppress(RuntimeError):  # where JAX is in use already, it has its devices
            jax.config.update("jax_num_cpu_devices", cores())


def cores(quota: Path = Path("/sys/fs/cgroup/cpu.max")) -> int:
    """How many cores this process may use; all, where a system doesn't say which.

    Args:
        quota: where Linux says what share of the cores a container may use.
    """
    there = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    allowed, _, period = quota.read_text(encoding="ascii").partition(" ") if quota.exists() else ("max", "", "")
    return there if allowed == "max" else max(1, min(there, round(int(allowed) / int(period))))


def say(line: str) -> None:
    """Say a line on standard error."""
    print(f"recmeta: {line}", file=sys.stderr)


def is_refusal(error: BaseException, job: Callable[..., Any]) -> bool:
    """Whether Hydra refuses what was typed; what comes from within a job is a defect, and so is any other error."""
    if any(frame.f_code is job.__code__ for frame, _ in traceback.walk_tb(error.__traceback__)):
        return False
    return isinstance(error, UserError | HydraException | OmegaConfBaseException | ValueError | OSError)


def explain(error: BaseException) -> str:
    """One line: what, where, and what is allowed instead."""
    if isinstance(error, MissingConfigException):
        group, _, choice = (error.missing_cfg_file or "").rpartition("/")
        return f"{group}={choice}: no such choice; there are {_listed(error.options or schema.choices(group))}"
    if str(error).startswith(_NO_NAME):
        return _no_name(sys.argv[1:])
    if isinstance(error, OverrideParseException):
        return f"{error.override}: can't be read ({_line(error)}); write key=value"
    typed = _override(error)
    for cause in _causes(error):
        if isinstance(cause, OmegaConfBaseException):
            return _no_key(typed, cause) or _wrong_type(typed) or f"{typed}: {_line(cause)}".removeprefix(": ")
    return " ".join(str(error).split())


def _causes(error: BaseException) -> Iterator[BaseException]:
    seen: BaseException | None = error
    while seen is not None:
        yield seen
        seen = seen.__cause__


def _line(error: BaseException) -> str:
    """The first line of a message: OmegaConf puts its internals below it."""
    return str(error).strip().partition("\n")[0]


def _listed(names: object) -> str:
    return ", ".join(map(str, names)) if isinstance(names, list) and names else "none"


def _override(error: BaseException) -> str:
    """The override a composition error is about, from Hydra's own message."""
    found = re.search(r"^To append to your config use \+(.+)|^Error merging override (.+)", str(error), re.MULTILINE)
    return (found[1] or found[2]) if found else ""


def _no_key(typed: str, cause: OmegaConfBaseException) -> str:
    """For a key that does not exist: which ones do."""
    parent = cause.parent_node
    if not re.search(r"not in (struct|'Root')", str(cause)) or not isinstance(parent, DictConfig):
        return ""
    where = str(cause.full_key).rpartition(".")[0]
    keys = [key for key in parent if not str(key).startswith("_") and key != "hydra"]
    return f"{typed or cause.full_key}: no such key; {where or 'the config'} has {_listed(keys)}"


def _wrong_type(typed: str) -> str:
    """For one of the root's own keys: what it must be."""
    key, _, value = typed.partition("=")
    kind = schema.kind(key) if value else ""
    return kind and f"{typed}: must be {kind}"


def _no_name(typed: list[str]) -> str:
    """For a group that is set to what is no name, or no group at all."""
    for text in typed:
        key, equals, _ = text.partition("=")
        if equals and key in ("", *schema.GROUPS, "experiment"):
            override = OverridesParser.create().parse_override(text)
            if not isinstance(override.value(), str | list):
                there = f"there are {_listed(schema.choices(key))}" if key else "write key=value"
                return f"{text}: no such choice; {there}"
    return "a group is chosen by name, as learner=ridge"
