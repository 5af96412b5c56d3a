import jax
import jax.numpy as jnp

from recmeta.runs import provenance


def test_environment_names_versions_and_device():
    told = provenance.environment()
    assert told["versions"]["jax"] == jax.__version__
    assert told["device"] == {"kind": "cpu", "platform": "cpu", "count": jax.device_count()}
    assert 1 < provenance.peak_mb() < 1e6


def test_compilations_are_counted_from_the_start_on():
    first = provenance.count_compilations()
    jax.jit(lambda x: x * 3 + 1)(jnp.ones(7))
    second = provenance.count_compilations()
    once = first()
    assert once.number >= 1
    assert once.seconds > 0
    assert second() == (0, 0.0)
    jax.jit(lambda x: x * 5 - 1)(jnp.ones(7))
    assert second().number >= 1
    assert first().number == once.number + second().number


def test_stopwatch_goes_on():
    clock = provenance.stopwatch()
    assert 0 <= clock() <= clock()
