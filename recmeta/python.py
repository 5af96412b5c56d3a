"""Run experiments from Python: the overrides of the command line, and components as objects."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from functools import cached_property, partial
from pathlib import Path
from typing import Any

import polars as pl
from hydra import compose, initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from omegaconf import DictConfig, OmegaConf

from recmeta import cli
from recmeta.config import schema, typed, versions
from recmeta.runs import directory as run_directory
from recmeta.runs import layout
from recmeta.types import UserError


class Done:
    """A finished run.

    Attributes:
        summary: contents of ``summary.json``.
        directory: where all of it is.
    """

    def __init__(self, summary: Mapping[str, Any], directory: Path):
        self.summary, self.directory = summary, directory

    @cached_property
    def scores(self) -> pl.DataFrame:
        """A row for each scenario, method, seed, support size and test task."""
        return pl.read_parquet(self.directory / layout.TASK_SCORES)

    def __repr__(self) -> str:
        """Name its directory."""
        return f"Done({str(self.directory)!r})"


def run(*overrides: str, **parts: Any) -> Done:
    """Run an experiment; skip it where it is done, and resume it where it was interrupted.

    Args:
        overrides: as on the command line, ``"learner=ridge"``, ``"steps=500"``; of one run, no sweep.
        parts: the same by name, ``steps=500, seeds=[0, 1]``. A group (``learner``, ``encoder``, ``dataset``, ...) takes
            the name of a choice, a block with a ``_target_``, or a component itself: a function of a module, as it
            would stand in a yaml, or a `functools.partial` of one with its settings.

    Raises:
        UserError: for anything the user can put right, in one line; nothing is written then.
    """
    schema.register()
    cli.configure_jax()
    cli.find_own_components()
    from recmeta.experiment import run as experiment  # after JAX is configured

    blocks = {name: part_block(name, part) for name, part in parts.items() if is_component(part)}
    written = [f"{name}={typed.written(part)}" for name, part in parts.items() if name not in blocks]
    lines = [*typed.plain_values(overrides), *written]
    config, choices = _composed(lines)
    typed.check_typed(lines, choices, multirun=False)
    plain: Any = OmegaConf.to_container(config, resolve=True, throw_on_missing=True)
    for name, block in blocks.items():
        if name not in plain:
            raise UserError(f"{name}: no such group; there are {', '.join(sorted(_groups(plain)))}")
        plain[name] = block
    lines += [f"{name}={block['_target_']}" for name, block in blocks.items()]
    return Done(experiment.run(plain, lines), run_directory.place(plain))


def is_component(part: Any) -> bool:
    """Whether a part is a component or its block, and not a value or the name of a choice."""
    return callable(part) or (isinstance(part, Mapping) and "_target_" in part)


def part_block(name: str, part: Callable[..., Any] | Mapping[str, Any]) -> dict[str, Any]:
    """Write a component as a block of the config.

    Args:
        name: the group, for messages.
        part: a function, a partial of one with its settings by name, or a block.

    Raises:
        UserError: for what no config could name: a lambda, a function within another, settings without names.
    """
    if isinstance(part, Mapping):
        return {"_partial_": True, "_convert_": "all", **part}
    made = part if isinstance(part, partial) else partial(part)
    function: Any = made.func
    module, name_of = getattr(function, "__module__", ""), getattr(function, "__qualname__", "")
    # As yamls have it: a module whose function has its name stands for it.
    where = module if module.rpartition(".")[2] == name_of else f"{module}.{name_of}"
    if not (inspect.isfunction(function) or inspect.isclass(function)) or "<" in where:
        raise UserError(f"{name}: give a function of a module, or a partial of one; this is {part!r}")
    if made.args:
        raise UserError(f"{name}: name each setting of {where}, as in partial({function.__name__}, setting=value)")
    return {"_target_": where, "_partial_": True, "_convert_": "all", **made.keywords}


def _groups(config: Mapping[str, Any]) -> list[str]:
    return [name for name, block in config.items() if isinstance(block, Mapping) and "_target_" in block]


def _composed(lines: list[str]) -> tuple[DictConfig, Mapping[str, Any]]:
    """The config of some overrides, and the choice of each group."""
    GlobalHydra.instance().clear()
    with initialize_config_dir(config_dir=str(schema.CONF), **versions.BASE):
        composed = compose("config", overrides=lines, return_hydra_config=True)
    choices: Any = OmegaConf.to_container(composed.hydra.runtime.choices)
    OmegaConf.set_struct(composed, False)
    del composed["hydra"]
    return composed, choices
