"""Use Hydra 1.3 and 1.4 alike: 1.4 wants every target that may be instantiated named, and takes no ``version_base``."""

from __future__ import annotations

import inspect
import sys
from collections.abc import Callable, Iterator, Mapping
from functools import partial
from typing import Any

import hydra
from hydra.utils import instantiate

WHITELISTS = "execution_whitelist" in inspect.signature(hydra.main).parameters
"""Whether Hydra warns of a target that is on no whitelist: from 1.4 on; from 1.5 on it is an error."""

BASE: Mapping[str, Any] = {} if WHITELISTS else {"version_base": "1.3"}
"""What `hydra.main` and `hydra.initialize` need beside their arguments: without it 1.3 warns, with it 1.4 does."""


def main(config_path: str, job: Callable[..., Any]) -> Callable[[], Any]:
    """Make a job the main program of a folder of configs.

    Args:
        config_path: the folder.
        job: takes the config.
    """
    more = {"execution_whitelist": "recmeta.*"} if WHITELISTS else {}  # for the callbacks in conf/config.yaml
    return hydra.main(config_path=config_path, config_name="config", **BASE, **more)(job)


def make(block: Mapping[str, Any]) -> Any:
    """Instantiate a block of the config.

    Its targets are what the user typed, and may come from any package but Python's own library: of that Hydra 1.3
    refuses what runs or removes things, and no component is in it.

    Args:
        block: with a ``_target_``.

    Raises:
        InstantiationException, TypeError: as Hydra's.
    """
    if not WHITELISTS:
        return instantiate(block)
    allowed = [target for target in targets(block) if target.partition(".")[0] not in sys.stdlib_module_names]
    return plain(instantiate(block, _execution_whitelist_=allowed))


def targets(block: Any) -> Iterator[str]:
    """All targets of a block, at any depth.

    >>> list(targets({"_target_": "a.b", "inner": [{"_target_": "optax.sgd"}]}))
    ['a.b', 'optax.sgd']
    """
    if isinstance(block, Mapping) and "_target_" in block:
        yield str(block["_target_"])
    inner = block.values() if isinstance(block, Mapping) else block if isinstance(block, list) else ()
    yield from (target for each in inner for target in targets(each))


def plain(made: Any) -> Any:
    """Partials as Python has them, at any depth of arguments: those of Hydra 1.4 refuse to be pickled."""
    if not isinstance(made, partial):
        return made
    return partial(made.func, *map(plain, made.args), **{key: plain(value) for key, value in made.keywords.items()})
