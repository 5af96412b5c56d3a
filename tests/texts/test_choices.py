"""What holds of every choice of ``text``: nothing is fitted to test texts, and a saved run encodes as training did."""

from dataclasses import replace

import numpy as np
import pytest
from flax import nnx

from recmeta.config import schema
from recmeta.features import transform as transforms
from recmeta.features.fitting import known
from recmeta.models.fields import Fields
from recmeta.texts.noting import files_hash, with_texts
from recmeta.types import UserError
from tests.texts.conftest import column

CHOICES = ("bow", "tfidf", "svd", "hash", "words", "sentence")
KINDS = {
    "bow": "multi",
    "tfidf": "weighted",
    "svd": "vector",
    "hash": "vector",
    "words": "vector",
    "sentence": "vector",
}


def test_every_choice_is_tried():
    assert {*CHOICES, "none"} == set(schema.choices("text"))


@pytest.mark.parametrize("name", CHOICES)
def test_texts_that_meta_train_has_not_change_nothing_that_is_fitted(name, choice, texts):
    preparation = choice(name)
    seen = np.arange(len(texts)) < 20
    fitted = preparation.fit(column(*texts), seen)
    others = [f"{text} garden unheard-of words 1999" for text in texts[20:]]
    np.testing.assert_equal(preparation.fit(column(*texts[:20], *others), seen), fitted)


@pytest.mark.parametrize("name", CHOICES)
def test_each_text_is_encoded_by_itself(name, choice, texts):
    """Whatever texts are beside it; and a missing one is missing."""
    preparation = choice(name)
    state = preparation.fit(column(*texts), np.arange(len(texts)) < 20).state
    together = preparation.apply(column(*texts), state)
    assert (together.kind, preparation.gives) == (KINDS[name], KINDS[name])
    assert not known(together)[3]
    assert known(together)[[0, 1, 2]].all()
    for place in (0, 25):
        alone = preparation.apply(column(texts[place]), state)
        np.testing.assert_equal(alone.values, together.values[place : place + 1])
    assert not known(preparation.apply(column(""), state))[0]


@pytest.mark.parametrize("name", CHOICES)
def test_a_saved_run_encodes_texts_as_training_did(name, choice, told, cut, tmp_path):
    """And under item_cold nothing of it changes with the titles of test items."""
    data = with_texts(told, choice(name))
    problem = cut(data, task="item", test=0.3)
    transforms.save(problem.transform, tmp_path / "features")
    loaded = transforms.load(tmp_path / "features")
    titles = data.items.features["title"].values
    for place in (0, 3, 17):
        found = loaded.context({"title": titles[place]})["title"]
        np.testing.assert_array_equal(found, np.asarray(problem.train.contexts["title"])[place])
    seen = np.isin(np.arange(len(titles)), np.asarray(problem.train.entity))
    assert 5 < seen.sum() < 25
    changed = column(*np.where(seen, titles, "river of ghosts"))
    title = replace(data.items.features["title"], values=changed.values)
    items = replace(data.items, features={**data.items.features, "title": title})
    again = cut(replace(data, items=items), task="item", test=0.3).transform.state["context"]
    np.testing.assert_equal(again, problem.transform.state["context"])
    assert "unheard title" not in titles
    loaded.context({"title": "unheard title"})


@pytest.mark.parametrize("name", ["bow", "tfidf", "svd"])
def test_a_model_embeds_it(name, choice, told, cut):
    """One vector for each text, that of a missing one being zero where words are looked up."""
    problem = cut(with_texts(told, choice(name)))
    fields = [field for field in problem.spec.row if field.name == "title"]
    embedded = Fields(fields, width=4, rngs=nnx.Rngs(0))({"title": problem.train.entities["title"]})
    assert embedded.shape == (30, 4)
    assert np.abs(embedded).min(axis=1)[:3].all()
    assert bool(np.abs(embedded[3]).any()) == (name == "svd")


def test_the_notes_say_what_was_fitted(choice, told, cut):
    (note,) = cut(with_texts(told, choice("svd"))).split.notes
    assert note.startswith("svd item.title: values in 29, values dropped 0, values out 29, words 12; of the 30 that ")
    assert "12 words; 3 vectors hold " in note
    assert "title is text, which no preparation makes anything of: the model does not read it" in cut(told).split.notes


def test_without_a_text_it_is_refused(choice, data):
    with pytest.raises(
        UserError, match=r"^text: small has no text for bow to read; its features are user.age \(numeric\), "
    ):
        with_texts(data, choice("bow"))


def test_files_beside_the_data_are_hashed(choice, told):
    assert files_hash(told) == files_hash(with_texts(told, choice("svd"))) == ""
    assert len(files_hash(with_texts(told, choice("words")))) == 64
