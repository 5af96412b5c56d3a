"""Points composed from what is composed already are what Hydra composes."""

import pytest
from hydra import initialize_config_dir
from hydra._internal.config_loader_impl import ConfigLoaderImpl
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from recmeta import schema
from recmeta.sweeps.composing import Keeping


@pytest.fixture
def sweep():
    """Hydra's loader, and the config of a sweep."""
    schema.register()
    with initialize_config_dir(str(schema.CONF), version_base="1.3"):
        loader = GlobalHydra.instance().config_loader()
        typed = ["hydra/launcher=fused", "hydra.sweep.dir=somewhere", "steps=7"]
        yield loader, loader.load_configuration("config", typed, RunMode.MULTIRUN)


POINTS = [
    ["learner=reptile", "learner.inner_rate=0.1", "seeds=[0]"],
    ["learner=reptile", "learner.inner_rate=0.2", "seeds=[0,1]"],
    ["learner.inner_rate=0.2", "learner=reptile", "seeds=[]"],  # a value before the choice that it belongs to
    ["learner=ridge", "scorer=dot", "scorer.width=3", "steps=4", "steps=5"],
    ["learner=ridge", "scorer=dot"],
    ["dataset=table", "dataset.columns.label=stars", "+dataset.item_features.genres.kind=multi"],
    ["dataset=table", "++dataset.item_features.years.kind=numeric", "dataset.columns={user: who}"],
    ["learner={inner_rate: 3}", "name='a, b'", "~patience"],
    [],
]


def test_are_what_hydra_composes(sweep):
    loader, master = sweep
    keeping = Keeping(loader)
    for typed in POINTS:
        own, theirs = keeping.load_sweep_config(master, typed), loader.load_sweep_config(master, typed)
        assert own == theirs, typed
        assert own.hydra.overrides == theirs.hydra.overrides
        assert own.hydra.job == theirs.hydra.job
        assert own.hydra.runtime.choices == theirs.hydra.runtime.choices
        assert OmegaConf.is_struct(own) == OmegaConf.is_struct(theirs)


def test_files_are_read_once_for_all_that_choose_the_same(sweep, monkeypatch):
    loader, master = sweep
    composed, load = [], ConfigLoaderImpl.load_sweep_config

    def count(self, master_config, sweep_overrides):
        composed.append(list(sweep_overrides))
        return load(self, master_config, sweep_overrides)

    monkeypatch.setattr(ConfigLoaderImpl, "load_sweep_config", count)
    keeping = Keeping(loader)
    for typed in POINTS:
        keeping.load_sweep_config(master, typed)
    assert composed == [["learner=reptile"], ["learner=ridge", "scorer=dot"], ["dataset=table"], []]


def test_one_point_is_not_anothers(sweep):
    loader, master = sweep
    keeping = Keeping(loader)
    first, other = (keeping.take(master, [f"seeds=[{seed}]"]) for seed in range(2))
    assert (first.seeds, other.seeds) == ([0], [1])
    first.learner.inner_rate = 99.0
    assert keeping.take(master, ["seeds=[0]"]).learner.inner_rate != 99.0


@pytest.mark.parametrize(
    "typed", ["learner.inner_rat=1", "+learner.inner_rate=1", "learner=absent", "seeds=1,2", "a=b=]"]
)
def test_what_is_wrong_is_told_by_hydra(sweep, typed):
    loader, master = sweep
    with pytest.raises(HydraException) as own:
        Keeping(loader).load_sweep_config(master, [typed])
    with pytest.raises(HydraException) as theirs:
        loader.load_sweep_config(master, [typed])
    assert str(own.value) == str(theirs.value)
