"""Checkpoints come back bit for bit, survive an interrupted save, and are refused by a state they do not fit."""

import errno
import logging
import os
from types import SimpleNamespace
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from recmeta.training import checkpoint
from recmeta.types import UserError


class State(NamedTuple):
    params: Any
    opt_state: Any
    key: jax.Array
    step: jax.Array
    best: Any


def make_state(seed: int, items: int = 4) -> State:
    key = jax.random.key(seed)
    params = {
        "tables": {"a/b.c": jax.random.normal(key, (items, 3)), "none": jnp.zeros((0, 3))},
        "scorer": [jnp.ones(2)],
    }
    optimizer = optax.chain(optax.clip_by_global_norm(1.0), optax.adam(1e-2))
    grads = jax.tree.map(lambda x: x * 0.1 + 1e-38, params)
    updates, opt_state = optimizer.update(grads, optimizer.init(params), params)
    best = {
        "host": np.arange(3) / 7,
        "half": jnp.bfloat16(1 / 3),
        "nothing": None,
        "value": 0.1,
        "nan": np.float32("nan"),
    }
    return State(optax.apply_updates(params, updates), opt_state, jax.random.split(key, 2), jnp.int32(seed), best)


def bits(leaf: Any) -> tuple[Any, ...]:
    is_key = isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)
    array = np.asarray(jax.random.key_data(leaf) if is_key else leaf)
    return type(leaf), is_key, array.shape, array.dtype, array.tobytes()


def assert_same(got: State, expected: State) -> None:
    assert jax.tree.structure(got) == jax.tree.structure(expected)
    assert [bits(leaf) for leaf in jax.tree.leaves(got)] == [bits(leaf) for leaf in jax.tree.leaves(expected)]


def test_restores_the_latest_bit_for_bit_and_keeps_two(tmp_path):
    checkpoints = checkpoint.open(tmp_path / "checkpoints")
    assert checkpoints.restore(make_state(0)) is None
    for step in (10, 20, 30):
        checkpoints.save(step, make_state(step))
    checkpoints.close()
    assert sorted(os.listdir(tmp_path / "checkpoints")) == ["20", "30"]

    reopened = checkpoint.open(tmp_path / "checkpoints")
    restored = reopened.restore(make_state(0))
    reopened.close()
    assert restored is not None
    assert restored[1] == 30
    assert_same(restored[0], make_state(30))


def test_restores_from_shapes_alone(tmp_path):
    checkpoints = checkpoint.open(tmp_path)
    state = make_state(1)._replace(best=None)
    checkpoints.save(1, state)
    restored = checkpoints.restore(jax.eval_shape(lambda: state))
    checkpoints.close()
    assert restored is not None
    assert_same(restored[0], state)


def test_restored_arrays_can_be_donated_and_need_no_new_compilation(tmp_path):
    step = jax.jit(lambda state: jax.tree.map(lambda x: x + 1, state), donate_argnums=0)
    checkpoints = checkpoint.open(tmp_path)
    state = step({"w": jnp.zeros((64, 64))})
    checkpoints.save(1, state)
    restored = checkpoints.restore(state)
    checkpoints.close()
    assert restored is not None
    assert float(step(restored[0])["w"][0, 0]) == 2.0
    assert step._cache_size() == 1


def test_an_interrupted_save_leaves_the_previous_one(tmp_path, monkeypatch):
    from orbax.checkpoint._src.path import atomicity

    checkpoints = checkpoint.open(tmp_path)
    checkpoints.save(1, make_state(1))

    async def killed(*_: Any, **__: Any) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(atomicity.AtomicRenameTemporaryPath, "finalize", killed)
        with pytest.raises(KeyboardInterrupt):
            checkpoints.save(2, make_state(2))
    left = sorted(os.listdir(tmp_path))
    assert left[0] == "1"
    assert len(left) == 2, "the interrupted save is lying there"

    reopened = checkpoint.open(tmp_path)
    restored = reopened.restore(make_state(0))
    assert restored is not None
    assert restored[1] == 1
    assert_same(restored[0], make_state(1))
    reopened.save(2, make_state(2))
    reopened.close()
    assert sorted(os.listdir(tmp_path)) == ["1", "2"]


def test_saving_an_earlier_step_forgets_the_later_ones(tmp_path):
    checkpoints = checkpoint.open(tmp_path)
    checkpoints.save(5, make_state(5))
    checkpoints.save(5, make_state(6))
    checkpoints.save(3, make_state(3))
    restored = checkpoints.restore(make_state(0))
    checkpoints.close()
    assert restored is not None
    assert restored[1] == 3
    assert_same(restored[0], make_state(3))


def test_fresh_forgets_everything(tmp_path):
    checkpoints = checkpoint.open(tmp_path)
    checkpoints.save(5, make_state(5))
    checkpoints.close()
    fresh = checkpoint.open(tmp_path, fresh=True)
    assert fresh.restore(make_state(0)) is None
    fresh.close()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda state: make_state(0, items=5), r"float32\[4, 3\] there and float32\[5, 3\] here"),
        (lambda state: state._replace(step=jnp.float32(0)), r"\.step is int32\[\] there and float32\[\] here"),
        (lambda state: state._replace(best=None), r"\.best\['half'\] is bfloat16\[\] there and nothing here"),
        (lambda state: state._replace(key=jax.random.key(0)), r"\.key is uint32\[2, 2\] there and uint32\[2\] here"),
    ],
)
def test_a_state_that_does_not_fit_is_refused_in_one_line(tmp_path, change, said):
    checkpoints = checkpoint.open(tmp_path)
    checkpoints.save(1, make_state(0))
    with pytest.raises(UserError, match=said) as caught:
        checkpoints.restore(change(make_state(0)))
    checkpoints.close()
    assert str(tmp_path) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_orbax_is_quiet(tmp_path, caplog):
    caplog.set_level(logging.INFO)
    checkpoints = checkpoint.open(tmp_path)
    checkpoints.save(1, make_state(0))
    checkpoints.restore(make_state(0))
    checkpoints.close()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (ValueError("Failed to write: No space left on device [os_error_code='28']"), r"^no space left for [^\n]+$"),
        (OSError(errno.EDQUOT, "Disk quota exceeded"), r"^no space left for [^\n]+$"),
        (ValueError("PERMISSION_DENIED:\nFailed [os_error_code='13']"), r"^can't write [^\n]+; make it writable"),
        (PermissionError(errno.EACCES, "Permission denied"), r"^can't write [^\n]+Permission denied"),
    ],
)
def test_what_the_disk_refuses_is_one_line(tmp_path, monkeypatch, error, said):
    import orbax.checkpoint as ocp

    def refuse(*_: Any, **__: Any) -> None:
        raise error

    checkpoints = checkpoint.open(tmp_path)
    with monkeypatch.context() as patched:
        patched.setattr(ocp.CheckpointManager, "save", refuse)
        with pytest.raises(UserError, match=said):
            checkpoints.save(1, make_state(0))
    checkpoints.save(1, make_state(0))
    with monkeypatch.context() as patched:
        patched.setattr(ocp.CheckpointManager, "delete", refuse)
        with pytest.raises(UserError, match=said):
            checkpoints.save(1, make_state(0))
    checkpoints.close()


def test_a_save_that_does_not_fit_is_not_begun(tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    checkpoints = checkpoint.open(tmp_path)
    checkpoints.save(1, {"weight": jnp.ones(3)})
    monkeypatch.setattr(checkpoint.shutil, "disk_usage", lambda path: SimpleNamespace(total=10**9, free=1000))
    with monkeypatch.context() as patched:
        patched.setattr(ocp.CheckpointManager, "save", lambda *_, **__: pytest.fail("it is begun"))
        with pytest.raises(UserError, match=r"^no space left for [^\n]+ needs 0\.0 MB, and 0\.0 MB are free; [^\n]+$"):
            checkpoints.save(2, {"weight": jnp.ones(1000)})
    restored = checkpoints.restore({"weight": jnp.ones(3)})
    assert restored is not None
    assert restored.step == 1
    checkpoints.close()


def test_other_errors_of_a_save_are_defects(tmp_path, monkeypatch):
    import orbax.checkpoint as ocp

    def broken(*_: Any, **__: Any) -> None:
        raise ValueError("shapes differ")

    checkpoints = checkpoint.open(tmp_path)
    monkeypatch.setattr(ocp.CheckpointManager, "save", broken)
    with pytest.raises(ValueError, match="shapes differ"):
        checkpoints.save(1, make_state(0))
    checkpoints.close()


@pytest.mark.parametrize("fresh", [False, True])
def test_a_file_where_the_checkpoints_belong(tmp_path, fresh):
    (tmp_path / "checkpoints").write_text("mine")
    with pytest.raises(UserError, match=r"^can't write [^\n]+checkpoints"):
        checkpoint.open(tmp_path / "checkpoints", fresh=fresh)
    assert (tmp_path / "checkpoints").read_text() == "mine"


def remove(path):
    path.unlink()


def empty(path):
    path.write_bytes(b"")


@pytest.mark.parametrize("damage", [remove, empty])
@pytest.mark.parametrize("damaged", ["_METADATA", "manifest.ocdbt", "d/*"])
def test_a_damaged_checkpoint_is_one_line(tmp_path, damage, damaged):
    state = {"weight": jnp.ones(3)}  # one leaf: of several that fail at once, orbax leaves some unawaited
    checkpoints = checkpoint.open(tmp_path)
    checkpoints.save(1, state)
    checkpoints.close()
    for path in (tmp_path / "1" / "default").glob(damaged):
        damage(path)
    reopened = checkpoint.open(tmp_path)
    with pytest.raises(UserError, match=r"^no checkpoint in [^\n]+ can be read \([^\n]+remove that folder") as caught:
        reopened.restore(state)
    reopened.close()
    assert len(str(caught.value)) < 400 + len(str(tmp_path))


@pytest.mark.parametrize("damaged", ["_METADATA", "d/*"])
def test_of_a_damaged_checkpoint_the_one_before_is_used(tmp_path, damaged):
    checkpoints = checkpoint.open(tmp_path)
    for step in (1, 2):
        checkpoints.save(step, {"weight": jnp.full(3, step)})
    checkpoints.close()
    for path in (tmp_path / "2" / "default").glob(damaged):
        path.write_bytes(path.read_bytes()[:5])  # as a full disk leaves it
    reopened = checkpoint.open(tmp_path)
    restored = reopened.restore({"weight": jnp.ones(3, int)})
    assert restored is not None
    assert (restored.step, restored.damaged, restored.state["weight"].tolist()) == (1, [2], [1, 1, 1])
    assert [values.tolist() for values in checkpoint.read(tmp_path).values()] == [[1, 1, 1]]
    reopened.save(2, {"weight": jnp.full(3, 7)})
    again = reopened.restore({"weight": jnp.ones(3, int)})
    assert again is not None
    assert (again.step, again.damaged) == (2, [])
    reopened.close()
