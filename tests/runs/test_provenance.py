import time

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


def test_functions_that_are_traced_within_others_are_counted_once():
    inner = jax.jit(lambda x: time.sleep(0.05) or x * 7)  # only tracing sleeps
    clock, compiled = provenance.stopwatch(), provenance.count_compilations()
    jax.jit(lambda x: inner(x) - 2)(jnp.ones(3))
    assert 0.05 < compiled().seconds < clock()


def test_stopwatch_goes_on():
    clock = provenance.stopwatch()
    assert 0 <= clock() <= clock()
