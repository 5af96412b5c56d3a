"""Points composed from what is composed already are what Hydra composes."""

import pytest
from hydra import initialize_config_dir
from hydra.core.global_hydra import GlobalHydra
from hydra.errors import HydraException
from hydra.types import RunMode
from omegaconf import OmegaConf

from recmeta.config import schema, versions
from recmeta.sweeps.composing import Composer, with_beside

# OmegaConf 2.4, which comes with Hydra 1.4, has another name for it; 2.3 has this one alone.
pytestmark = pytest.mark.filterwarnings("ignore:register_new_resolver")


def loaded(*typed):
    """Hydra's loader, and the config of a sweep."""
    loader = GlobalHydra.instance().config_loader()
    return loader, loader.load_configuration("config", ["hydra/launcher=fused", *typed], RunMode.MULTIRUN)


@pytest.fixture
def files(tmp_path):
    """Hydra, and a folder with one more config group."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "one.yaml").write_text("# @package _global_\nbatch: 3\n")
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        yield f"hydra.searchpath=[file://{tmp_path}]"


@pytest.fixture
def sweep(files):
    """Of it, a value of which was resolved before points are composed: a time, say, is then the same for all."""
    OmegaConf.register_new_resolver("drawn", lambda: "once", use_cache=True, replace=True)
    loader, master = loaded(files, "steps=7", "name='${drawn:}'")
    assert master.name == "once"
    yield loader, master
    OmegaConf.clear_resolver("drawn")


POINTS = [
    ["learner=reptile", "learner.inner_rate=0.1", "seeds=[0]"],
    ["learner=reptile", "learner.inner_rate=0.2", "seeds=[0,1]"],
    ["learner.inner_rate=0.2", "learner=reptile", "seeds=[]"],  # a value before the choice that it belongs to
    ["learner=ridge", "scorer=dot", "scorer.width=3", "steps=4", "steps=5"],
    ["learner=ridge", "scorer=dot"],
    ["dataset=table", "dataset.columns.label=stars", "+dataset.item_features.genres.kind=multi"],
    ["dataset=table", "++dataset.item_features.years.kind=numeric", "dataset.columns={user: who}"],
    ["learner={inner_rate: 3}", "name='a, b'", "~patience"],
    ["~experiment"],
    ["scorer=dot", "~scorer.width", "~patience=10"],
    ["experiment=ridge", "batch=9"],
    ["+mine=one", "name='${output}'"],
    ["+mine@reporter=one"],
    ["hydra.job.name=z", "batch=8"],
    ["hydra={job: {env_copy: [HOME]}}"],
    [],
]


@pytest.mark.parametrize("typed", POINTS, ids=" ".join)
def test_are_what_hydra_composes(sweep, typed):
    loader, master = sweep
    composer = Composer(loader, master)
    composer.load_sweep_config(master, ["batch=1", *typed])  # what another point was given is not this one's
    own, theirs = composer.load_sweep_config(master, typed), loader.load_sweep_config(master, typed)
    assert own == theirs
    for part in ("overrides", "job", "runtime"):
        assert own.hydra[part] == theirs.hydra[part]
    assert OmegaConf.is_struct(own) == OmegaConf.is_struct(theirs)
    assert own._metadata.resolver_cache == theirs._metadata.resolver_cache


def test_files_are_read_once_for_all_that_choose_the_same(sweep, monkeypatch):
    loader, master = sweep
    composed, load = [], loader.load_sweep_config

    def count(master_config, sweep_overrides):
        composed.append(list(sweep_overrides))
        return load(master_config, sweep_overrides)

    monkeypatch.setattr(loader, "load_sweep_config", count)
    composer = Composer(loader, master)
    for typed in POINTS[:8]:
        composer.load_sweep_config(master, typed)
    assert composed == [["learner=reptile"], ["learner=ridge", "scorer=dot"], ["dataset=table"], []]


def test_one_point_is_not_anothers(sweep):
    loader, master = sweep
    composer = Composer(loader, master)
    first, other = (composer.load_sweep_config(master, [f"seeds=[{seed}]"]) for seed in range(2))
    assert (first.seeds, other.seeds) == ([0], [1])
    first.learner.inner_rate = 99.0
    assert composer.load_sweep_config(master, ["seeds=[0]"]).learner.inner_rate != 99.0


def test_another_sweeps_points_are_its_own(sweep):
    loader, master = sweep
    _, other = loaded("hydra.job.name=other")
    own, theirs = (one.load_sweep_config(other, ["batch=2"]) for one in (Composer(loader, master), loader))
    assert own == theirs
    assert own.hydra.job == theirs.hydra.job


@pytest.mark.parametrize(
    "typed",
    ["learner.inner_rat=1", "+learner.inner_rate=1", "learner=absent", "+learner@foo=maml", "seeds=1,2", "a=b=]"],
)
def test_what_is_wrong_is_told_by_hydra(sweep, typed):
    loader, master = sweep
    with pytest.raises(HydraException) as own:
        Composer(loader, master).load_sweep_config(master, [typed])
    with pytest.raises(HydraException) as theirs:
        loader.load_sweep_config(master, [typed])
    assert str(own.value) == str(theirs.value)


def test_a_run_beside_another_has_none_of_the_settings_that_it_replaces():
    """Nor anything within them, added or deleted: a panel has no inner rate."""
    line = ["suite=a", "learner=maml", "learner.inner_rate=0.1", "+learner.more=1", "~learner.less", "steps=3"]
    made, asked = with_beside([line], ["learner=none", "baselines=[ease]"])
    assert made == [["suite=a", "steps=3", "learner=none", "baselines=[ease]"], line]
    assert asked == [1]
    assert with_beside([line, line], []) == ([line, line], [0, 1])
