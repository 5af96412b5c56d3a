"""Keep compiled programs between sessions, so that the second run of the suite skips nearly all compilations.

JAX writes an entry of its cache in place: a process could read what another is still writing, which is a warning, and
here an error. So each process (a worker of pytest-xdist, or a run that a test kills) works in a folder of its own, with
links to what was compiled before; what is new is copied to the shared folder after each file of tests, when nothing is
being written: a session that is ended half way has not compiled in vain.
"""

import gc
import os
import shutil
import tempfile
from pathlib import Path

import jax
import platformdirs
import pytest

from recmeta.runs.provenance import count_compilations

COMPILED = count_compilations()
SHARED = "RECMETA_TEST_CACHE"
"""The environment variable that tells workers, whose own cache is elsewhere, which folder is shared."""


def own_folder() -> Path:
    """The cache of this process."""
    return Path(os.environ["JAX_COMPILATION_CACHE_DIR"])


def link(source: Path, folder: Path) -> Path:
    """Fill a folder with links to the programs of another. JAX never writes to an entry that is there."""
    for path in source.glob("*-cache"):
        (folder / path.name).symlink_to(path)
    return folder


def keep(folder: Path, shared: Path) -> None:
    """Move the programs that are no links to the shared cache, where each appears at once, complete; link to them."""
    shared.mkdir(parents=True, exist_ok=True)
    for path in folder.glob("*-cache"):
        if not path.is_symlink():
            part = shared / f"{path.name}.{os.getpid()}"
            shutil.copyfile(path, part)
            part.replace(shared / path.name)
            path.unlink()
            path.symlink_to(shared / path.name)


def pytest_configure():
    """Begin with what is in the shared cache: the one that the user names, or the user's own."""
    named = os.environ.get("JAX_COMPILATION_CACHE_DIR") or platformdirs.user_cache_dir("recmeta/jax")
    shared = Path(os.environ.setdefault(SHARED, str(Path(named).absolute())))
    own = link(shared, Path(tempfile.mkdtemp(prefix="recmeta-jax-")))
    os.environ["JAX_COMPILATION_CACHE_DIR"] = str(own)
    jax.config.update("jax_compilation_cache_dir", str(own))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item, nextitem):
    """After the last test of a file keep what was compiled, and have done with its objects."""
    result = yield
    if nextitem is None or nextitem.path != item.path:
        keep(own_folder(), Path(os.environ[SHARED]))
        # JAX's caches hold programs by weak references: what thousands of tests leave took 20 seconds to find at once,
        # and every search goes through all that stays.
        gc.collect()
        gc.freeze()
    return result


def pytest_unconfigure():
    """Remove this process's cache."""
    shutil.rmtree(own_folder(), ignore_errors=True)


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector):
    """Fail a file that compiles when it is imported: every worker would, and each time the suite is collected."""
    before = COMPILED().number
    report = yield
    if report.passed and COMPILED().number > before:
        report.outcome = "failed"
        report.longrepr = f"{collector.nodeid} compiles when it is imported: make arrays and models in fixtures"
    return report
