"""Choose the W&B mode: online where a key is found and the server answers, else offline, in ten seconds at most."""

from __future__ import annotations

import netrc
import os
import sys
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path
from threading import Thread
from typing import Any
from urllib.parse import urlsplit

from recmeta.runs.files import one_line
from recmeta.types import UserError

MODES = ("online", "offline", "disabled")

PATIENCE = 10
"""Seconds that the server has to answer, and again to open a run."""

# Keys were issued for this host before the client's default address changed; the client still accepts them.
_OLDER_HOST = "api.wandb.ai"


def choose_mode(configured: str | None) -> str:
    """Choose the mode of a run: as configured, else ``WANDB_MODE``, else online where a key is found.

    Where that is online and the server does not answer, it is offline, and a line on standard error says so.

    Args:
        configured: ``reporter.wandb.mode``.

    Raises:
        UserError: the mode is unknown, netrc can't be parsed, or the config asks for online and the server does not
            answer.
    """
    chosen = configured or os.environ.get("WANDB_MODE")
    if chosen and chosen not in MODES:
        raise UserError(f"the W&B mode is one of {', '.join(MODES)}, not {chosen!r} (reporter.wandb.mode, WANDB_MODE)")
    if chosen in ("offline", "disabled"):
        return chosen
    settings = _client_settings()
    known = settings.api_key or settings.identity_token_file or logged_in(settings.base_url)
    if not chosen and not known:
        return "offline"
    if why := unreachable(settings.base_url):
        give_up(configured, why)
        return "offline"
    return "online"


def _client_settings() -> Any:
    """The client's own settings, of its files and the environment; an empty ``WANDB_MODE`` is none.

    Raises:
        UserError: one of them is none that the client takes.
    """
    import wandb as client

    if not os.environ.get("WANDB_MODE", "none"):
        del os.environ["WANDB_MODE"]
    try:
        return client.setup().settings
    except ValueError as error:  # pydantic's, of three lines and more: how many, the setting, the fault
        _, *said = str(error).splitlines()
        fault = " ".join(line.strip() for line in said[:2])
        raise UserError(
            f"Weights & Biases cannot be used ({fault}): correct its settings and WANDB_... in the environment, or set "
            "WANDB_MODE=disabled"
        ) from error


def give_up(configured: str | None, why: str) -> None:
    """Report that a run can't be online: it is offline instead, unless the config asks for online.

    Raises:
        UserError: it does.
    """
    if configured == "online":
        raise UserError(
            f"Weights & Biases cannot be used ({why}): set reporter.wandb.mode=offline, or WANDB_MODE=offline with "
            "reporter.wandb.mode=null, to go on without"
        )
    print(
        f"recmeta: Weights & Biases cannot be used ({why}): this run is recorded offline; "
        "scripts/sync_wandb.py sends it later",
        file=sys.stderr,
    )


@lru_cache
def unreachable(base_url: str) -> str:
    """Ask the server for any answer, once per process. Returns why there is none; "" where there is one.

    Args:
        base_url: of the server. Proxies of the environment are used.
    """
    import requests  # as the client does

    found = within(PATIENCE, lambda: requests.head(base_url, timeout=PATIENCE, allow_redirects=False))
    if found is None:
        return f"no answer from {base_url} within {PATIENCE} s"
    return f"no answer from {base_url}" if isinstance(found, Exception) else ""


def within(seconds: float, call: Callable[[], Any]) -> Any:
    """Call a function, and wait for it for some seconds: looking up a host's name takes as long as it takes.

    Returns:
        Its result, or the error that it raises; None where there is none in time.
    """
    found: list[Any] = []

    def run() -> None:
        try:
            found.append(call())
        except Exception as error:
            found.append(error)

    thread = Thread(target=run, daemon=True)
    thread.start()
    thread.join(seconds)
    return found[0] if found else None


def logged_in(base_url: str) -> bool:
    """Whether netrc holds a key for this W&B server. Asks neither the user nor the network.

    Raises:
        UserError: the file cannot be parsed.
    """
    path = Path(os.environ.get("NETRC", "~/.netrc")).expanduser()
    if not path.is_file():
        return False
    hosts = {urlsplit(base_url).netloc} | (set() if "WANDB_BASE_URL" in os.environ else {_OLDER_HOST})
    try:
        return not hosts.isdisjoint(netrc.netrc(path).hosts)
    except netrc.NetrcParseError as error:
        raise UserError(
            f"{path} cannot be read ({one_line(error)}): put it right, or set WANDB_MODE=offline"
        ) from error
