"""What makes a run the same run."""

import re

from recmeta.runs.hashing import code_hash, components_hash, config_hash

CONFIG = {
    "name": "main", "output": "outputs", "force": False, "reporter": {}, "seeds": [0], "steps": 4, "batch": 2,
    "learner": {"inner_steps": 5, "inner_rate": 0.01},
}  # fmt: skip


def test_config_hash_ignores_what_changes_no_number_and_nothing_else():
    whole = config_hash(CONFIG)
    for key, value in CONFIG.items():
        changed = config_hash(CONFIG | {key: [value, "other"]})
        assert (changed == whole) == (key in ("name", "output", "force", "reporter"))
    assert config_hash(CONFIG | {"learner": {"inner_steps": 5, "inner_rate": 0.02}}) != whole


def test_config_hash_is_of_values_not_of_how_they_are_typed():
    def hashed(rate):
        return config_hash(CONFIG | {"learner": {"inner_rate": rate, "shots": [rate, {"deep": rate}]}})

    assert hashed(1) == hashed(1.0)
    assert len({hashed(rate) for rate in (1, 1.5, True, "1", None)}) == 5


def test_config_hash_of_the_baselines_alone_ignores_what_only_training_reads():
    alone = CONFIG | {"learner": {"_target_": None}, "metric": "mae"}
    whole = config_hash(alone)
    keys = [
        "encoder", "scorer", "optimizer", "seeds", "steps", "eval_every", "batch", "patience", "clip", "start",
        "freeze", "augmentation", "schedule",
    ]  # fmt: skip
    for key in keys:
        assert config_hash(alone | {key: "other"}) == whole
        assert config_hash(CONFIG | {key: "other"}) != config_hash(CONFIG)
    assert config_hash(alone | {"metric": "rmse"}) != whole


def test_config_hash_is_the_same_in_any_order():
    assert config_hash(dict(reversed(CONFIG.items()))) == config_hash(CONFIG)


def test_code_hash():
    assert re.fullmatch("[0-9a-f]{64}", code_hash())
    assert code_hash() == code_hash()


def test_components_hash_is_of_names_and_contents():
    whole = components_hash({"a.py": "1", "b.py": "2"})
    assert components_hash({"b.py": "2", "a.py": "1"}) == whole
    assert len({whole, components_hash({"a.py": "2", "b.py": "1"}), components_hash({"a.py": "1"})}) == 3
