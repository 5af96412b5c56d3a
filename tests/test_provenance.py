import re

import jax
import jax.numpy as jnp

from recmeta import provenance

CONFIG = {
    "name": "main", "output": "outputs", "force": False, "reporter": {}, "seeds": [0], "steps": 4, "batch": 2,
    "learner": {"inner_steps": 5, "inner_rate": 0.01},
}  # fmt: skip


def test_config_hash_ignores_what_changes_no_number_and_nothing_else():
    whole = provenance.config_hash(CONFIG)
    for key, value in CONFIG.items():
        changed = provenance.config_hash(CONFIG | {key: [value, "other"]})
        assert (changed == whole) == (key in ("name", "output", "force", "reporter"))
    assert provenance.config_hash(CONFIG | {"learner": {"inner_steps": 5, "inner_rate": 0.02}}) != whole


def test_config_hash_is_of_values_not_of_how_they_are_typed():
    def hashed(rate):
        return provenance.config_hash(CONFIG | {"learner": {"inner_rate": rate, "shots": [rate, {"deep": rate}]}})

    assert hashed(1) == hashed(1.0)
    assert len({hashed(rate) for rate in (1, 1.5, True, "1", None)}) == 5


def test_config_hash_of_the_baselines_alone_ignores_what_only_training_reads():
    alone = CONFIG | {"learner": {"_target_": None}, "metric": "mae"}
    whole = provenance.config_hash(alone)
    keys = [
        "encoder", "scorer", "optimizer", "seeds", "steps", "eval_every", "batch", "patience", "clip", "start", "freeze"
    ]  # fmt: skip
    for key in keys:
        assert provenance.config_hash(alone | {key: "other"}) == whole
        assert provenance.config_hash(CONFIG | {key: "other"}) != provenance.config_hash(CONFIG)
    assert provenance.config_hash(alone | {"metric": "rmse"}) != whole


def test_config_hash_is_the_same_in_any_order():
    assert provenance.config_hash(dict(reversed(CONFIG.items()))) == provenance.config_hash(CONFIG)


def test_code_hash():
    assert re.fullmatch("[0-9a-f]{64}", provenance.code_hash())
    assert provenance.code_hash() == provenance.code_hash()


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
