import inspect
import math
from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recmeta.config.components import component
from recmeta.datasets.registry import DATASETS
from recmeta.types import UserError

CONF = Path(__file__).parents[2] / "conf" / "dataset"
NAMES = sorted(path.stem for path in CONF.glob("*.yaml"))

# What a loader's signature leaves at None, and its yaml spells out.
SPELLED = {
    "table": {"user": "user", "item": "item", "label": "label", "time": None, "weight": None, "propensity": None},
    "recbole": {"user": "user_id", "item": "item_id", "label": "rating", "time": "timestamp"},
}


def test_every_loader_has_a_yaml():
    assert set(NAMES) == set(DATASETS)


@pytest.mark.parametrize("name", NAMES)
def test_a_yaml_states_every_setting_at_its_default(name):
    block = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    partial = component("dataset", block, ())
    assert partial is not None
    defaults = {key: value.default for key, value in inspect.signature(partial.func).parameters.items()}
    given = {key: tuple(value) if isinstance(value, list) else value or None for key, value in partial.keywords.items()}
    assert partial.func.__name__ == name
    if name in SPELLED:
        assert given.pop("columns") == SPELLED[name]
        defaults.pop("columns")
    assert {key: value or None for key, value in defaults.items()} == {
        key: value or None for key, value in given.items()
    }


@pytest.mark.parametrize(
    ("name", "key", "value", "message"),
    [
        ("synthetic", "noise", math.nan, "dataset.noise=nan: .*a finite number"),
        ("synthetic", "mean", math.inf, "dataset.mean=inf: .*a finite number"),
        ("synthetic", "signal", math.inf, "dataset.signal=inf: .*a finite number"),
        ("synthetic", "explained", math.nan, "dataset.explained=nan: .*a finite number"),
        ("synthetic", "per_user", [40, math.inf], "dataset.per_user="),
        ("table", "label_range", [0, math.inf], "dataset.label_range=.*a finite number"),
        ("table", "like", math.nan, "dataset.like=nan: .*a finite number"),
        ("recbole", "label_range", [0, math.inf], "dataset.label_range=.*a finite number"),
        ("ml_1m", "like", math.inf, "dataset.like=inf: .*a finite number"),
        ("ml_1m", "zip_digits", 0, "dataset.zip_digits=0: .*greater than or equal to 1"),
        ("lastfm_2k", "label", "plays", "dataset.label=plays: .*'log' or 'one'"),
        ("amazon_reviews", "edition", 2014, "dataset.edition=2014: .*2018 or 2023"),
        ("amazon_reviews", "category", "../Books", "dataset.category=../Books: .*match pattern"),
        ("ml_1m", "path", 3, "dataset.path=3"),
    ],
)
def test_a_setting_out_of_its_range_is_refused_before_anything_is_read(name, key, value, message):
    block = OmegaConf.to_container(OmegaConf.load(CONF / f"{name}.yaml"))
    with pytest.raises(UserError, match=message) as caught:
        component("dataset", {**block, key: value}, ())
    assert "\n" not in str(caught.value)
