"""A whole run that reads texts, from its files to what is saved."""

import json

import polars as pl
import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta.config import schema, versions
from recmeta.config.compatibility import check_text
from recmeta.config.parts import make_parts
from recmeta.experiment import prepare
from recmeta.experiment import run as experiment
from recmeta.features import transform
from recmeta.runs import directory as run_directory
from recmeta.types import UserError


@pytest.fixture
def settings(frames, texts, small, tmp_path):
    """``settings(*overrides)``: the config of a run on the small data set, whose items have titles."""
    rows, _, items = frames
    rows.write_csv(tmp_path / "rows.csv")
    items.select(item="id", title=pl.Series(texts)).write_csv(tmp_path / "items.csv")
    kept = [override for override in small if not override.startswith("dataset")]

    def settings(*overrides):
        own = (
            "dataset=table", f"dataset.interactions={tmp_path}/rows.csv", f"dataset.items={tmp_path}/items.csv",
            "+dataset.item_features.title.kind=text", "dataset.columns.time=time", f"output={tmp_path}",
            "protocol.episodes.shots=[0,3]",
        )  # fmt: skip
        schema.register()
        with initialize_config_dir(str(schema.CONF), **versions.BASE):
            config = compose("config", [*kept, *own, *overrides])
        return OmegaConf.to_container(config, resolve=True, throw_on_missing=True)

    return settings


def test_the_choice_makes_features_of_the_data(settings):
    data, problem = prepare.load(make_parts(settings("text=tfidf", "text.least=1")))
    assert [(field.name, field.kind) for field in problem.spec.row if field.name != "id"] == [("title", "weighted")]
    plain, unread = prepare.load(make_parts(settings()))
    assert [field.name for field in unread.spec.row] == ["id"]
    # Data and split are the same, so that choices stand in one table.
    assert (plain.sha256, unread.split.sha256) == (data.sha256, problem.split.sha256)


def test_what_is_no_preparation_is_refused():
    with pytest.raises(UserError, match=r"^text: its target must return a Preparation, and returned a int$"):
        check_text(3)


@pytest.mark.slow
@pytest.mark.parametrize("text", ["bow", "tfidf", "svd"])
def test_a_run_from_start_to_end(settings, text):
    """A learner that descends reaches the embeddings of words; the quick tests train none on texts."""
    more = ("text.width=3",) if text == "svd" else ()
    config = settings(f"text={text}", "text.least=1", "learner=maml", "learner.adapts=all", *more)
    summary = experiment.run(config, [])
    assert summary["status"] == "complete"
    directory = run_directory.place(config)
    saved = transform.load(directory / "features")
    assert saved.row({"title": "star wars"})["title"].any()
    hashes = json.loads((directory / "summary.json").read_text())["hashes"]
    assert set(hashes) == {"config", "data", "protocol", "code"}
