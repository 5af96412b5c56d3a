"""The replicas of a program on two devices (tests/conftest.py): sharded evenly, each on its own."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.training.devices import chosen, even_size, map_replicas, on_one_device, over_devices, replicate, shard


def test_as_many_devices_as_can_have_the_same_number_each():
    assert [len(chosen(number)) for number in (1, 2, 3, 4, 5)] == [1, 2, 1, 2, 1]


def test_filled_up_so_that_no_device_is_left_without():
    assert [even_size(number) for number in (1, 2, 3, 4, 5)] == [1, 2, 4, 4, 6]


def test_none_has_more_than_it_would_have_had(monkeypatch):
    monkeypatch.setattr(jax, "local_devices", lambda: [None] * 16)
    assert {number: even_size(number) for number in (15, 17, 20, 33, 48)} == {15: 15, 17: 18, 20: 20, 33: 33, 48: 48}
    assert [len(chosen(even_size(number))) for number in (15, 17, 20, 33, 48)] == [15, 9, 10, 11, 16]


@pytest.mark.parametrize("number", [1, 3, 4])
def test_each_gets_what_it_would_alone_wherever_it_is(number):
    key = jax.random.split(jax.random.key(0), number)
    rows = jnp.arange(6.0).reshape(3, 2)

    def one(replica, rows):
        return {"drawn": rows @ jax.random.normal(replica["key"], (2,)) * replica["scale"], "key": replica["key"]}

    replicas = {"key": key, "scale": jnp.arange(1.0, 1 + number)}
    on_device = lambda replicas, rows: map_replicas(lambda replica: one(replica, rows), replicas)  # noqa: E731
    program = jax.jit(lambda replicas, rows: over_devices(on_device, replicas, rows))
    found = program(shard(replicas), replicate(rows, number))
    assert len(found["drawn"].sharding.device_set) == len(chosen(number))
    for place in range(number):
        alone = one(jax.tree.map(lambda leaf, place=place: leaf[place], replicas), rows)
        np.testing.assert_allclose(found["drawn"][place], alone["drawn"], rtol=1e-6)
        assert (jax.random.key_data(found["key"][place]) == jax.random.key_data(key[place])).all()


def test_gathered_is_on_one_device():
    there = on_one_device(shard(jnp.arange(4)))
    assert there.devices() == {jax.local_devices()[0]}
    np.testing.assert_array_equal(there, np.arange(4))


def test_what_a_branch_leaves_out_is_not_computed_for_a_replica():
    """One after the other on a CPU: a branch by a replica's own number stays one."""
    one = lambda replica: jax.lax.cond(replica > 0, lambda: jnp.sin(replica), lambda: 0.0)  # noqa: E731
    assert "cond[" in str(jax.make_jaxpr(lambda replicas: map_replicas(one, replicas))(jnp.arange(4.0)))
