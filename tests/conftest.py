"""What every test shares. The environment is set before anything imports jax or wandb."""

import gc
import importlib
import os

os.environ.pop("COLUMNS", None)  # which pytest-xdist gives its workers: a run off a terminal has no width of its own
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("WANDB_MODE", "disabled")
# Replicas of a program are dealt out to devices; in a run of its own each core is one.
os.environ.setdefault("JAX_NUM_CPU_DEVICES", "2")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS", "0")
os.environ.setdefault("JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES", "-1")
# Caches of XLA's own, for GPUs: their folder would be part of every entry's key, and each process has another.
os.environ.setdefault("JAX_PERSISTENT_CACHE_ENABLE_XLA_CACHES", "none")

import jax
import pytest

from recmeta.types import UserError
from tests import compile_cache
from tests.compile_cache import (  # noqa: F401 (hooks)
    pytest_configure,
    pytest_make_collect_report,
    pytest_runtest_teardown,
    pytest_unconfigure,
)

# Tracing makes many objects and little garbage: a tenth of the suite's time was spent in looking for it.
gc.set_threshold(100_000, 50, 100)


def _skip_without_system_library(item):
    """Skip what needs a library of the system that is not there, as libgomp in slim images."""
    try:
        return (yield)
    except UserError as error:
        if "is installed but can't be loaded" in str(error) and isinstance(_loading("implicit.als"), ImportError):
            pytest.skip(str(error))
        raise


pytest_runtest_setup = pytest_runtest_call = pytest.hookimpl(wrapper=True)(_skip_without_system_library)


def _loading(module: str) -> ImportError | None:
    """What goes wrong when a module is imported."""
    try:
        importlib.import_module(module)
    except ImportError as error:
        return error
    return None


@pytest.fixture
def key() -> jax.Array:
    """A PRNG key, the same in every test."""
    return jax.random.key(0)


@pytest.fixture(scope="session")
def frames():
    """A small data set as tables: rows, users, items. 40 users of 12 to 16 rows, 30 items; two users of 3 rows."""
    import numpy as np
    import polars as pl

    rng = np.random.default_rng(0)
    count = np.concatenate([rng.integers(12, 17, 40), [3, 3]])
    user = np.repeat(np.arange(42), count)
    item = np.concatenate([rng.choice(30, n, replace=False) for n in count])
    level = rng.normal(0, 1, 42)[user] + rng.normal(0, 1, 30)[item]
    label = np.clip(np.round(3 + level + rng.normal(0, 0.5, len(user))), 1, 5)
    rows = pl.DataFrame(
        {
            "user": [f"u{u:02}" for u in user],
            "item": [f"i{i:02}" for i in item],
            "label": label,
            "time": rng.permutation(len(user)),
        }
    )
    users = pl.DataFrame(
        {
            "id": [f"u{u:02}" for u in range(42)],
            "age": [None if u % 7 == 0 else float(20 + u) for u in range(42)],
            "job": [("nurse", "cook", "poet")[u % 3] for u in range(42)],
        }
    )
    items = pl.DataFrame(
        {
            "id": [f"i{i:02}" for i in range(30)],
            "genre": [["drama", "crime", "farce"][: i % 4] for i in range(30)],
            "year": [1950.0 + i for i in range(30)],
        }
    )
    return rows, users, items


@pytest.fixture(scope="session")
def data(frames):
    """The small data set, made into `Interactions`."""
    from recmeta.datasets.interactions import make_interactions

    rows, users, items = frames
    return make_interactions("small", rows, users=users, items=items, label_range=(1, 5), like=4)


@pytest.fixture(scope="session")
def cut():
    """``cut(data, **settings)``: the protocol user_cold at small sizes; settings of its blocks by their own names."""
    from recmeta.protocols.candidates import CandidateRule
    from recmeta.protocols.episodes import Episodes
    from recmeta.protocols.user_cold import user_cold

    settings = {"task": "user", "seed": 0, "order": "random", "labels": "rating", "test": 0.2, "validation": 0.2}
    episodes = Episodes(shots=(0, 1, 3, 5), query=4, validation_draws=2)

    def cut(data, candidates="query", number=None, **changed):
        of_episodes = {name: changed.pop(name) for name in Episodes._fields if name in changed}
        blocks = {"episodes": episodes._replace(**of_episodes), "candidates": CandidateRule(candidates, number)}
        return user_cold(data, **blocks, **settings | changed)

    return cut


@pytest.fixture(scope="session")
def problem(data, cut):
    """The small data set, cut: 24 users to train on, 8 to validate on, 8 to test on."""
    return cut(data)


@pytest.fixture(scope="session")
def small() -> tuple[str, ...]:
    """Overrides of a run that takes a second."""
    return (
        "dataset=synthetic", "dataset.users=60", "dataset.items=30", "dataset.per_user=[10,12]",
        "protocol.episodes.shots=[0,3]", "protocol.episodes.query=4", "learner=ridge", "encoder.width=4", "scorer=dot",
        "scorer.width=4", "steps=4", "eval_every=2", "batch=4", "reporter=quiet", "baselines=[global_mean]",
        "metrics=[mae]",
    )  # fmt: skip


@pytest.fixture(scope="session")
def kill_at(tmp_path_factory):
    """``kill_at(step, folder, typed)``: run a command line, and kill it when a run in the folder has logged a step."""
    import signal
    import subprocess
    import sys
    import time

    def kill(step, folder, typed):
        command = [sys.executable, "-m", "recmeta", *typed]
        # It may be killed while it writes an entry of its compile cache.
        cache = compile_cache.link(compile_cache.own_folder(), tmp_path_factory.mktemp("cache"))
        environment = os.environ | {"JAX_COMPILATION_CACHE_DIR": str(cache)}
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
        deadline = time.monotonic() + 200
        while not any(f'"step": {step}' in path.read_text() for path in folder.glob("main/*/metrics.jsonl")):
            assert child.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.001)
        os.kill(child.pid, signal.SIGKILL)
        child.wait()

    return kill
