"""Small data with texts, a file of word vectors, and a sentence encoder with random weights."""

import json
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from recmeta.datasets.interactions import make_interactions
from recmeta.texts.bow import bow
from recmeta.texts.hash import hash
from recmeta.texts.sentence import sentence
from recmeta.texts.svd import svd
from recmeta.texts.tfidf import tfidf
from recmeta.texts.words import words
from recmeta.types import Column

LEXICON = ("star", "wars", "story", "toy", "night", "love", "letter", "iron", "ghost", "river", "garden", "train")
VECTORS = {
    word: [float(place % 3), 1.0 + place, float(place % 2), -0.5 * place] for place, word in enumerate(LEXICON[:9])
}

TERMS = {"least": 1, "share": 0.9, "most": None}


def column(*texts: str) -> Column:
    """A column of texts."""
    values = np.empty(len(texts), dtype=object)
    values[:] = texts
    return Column("text", values)


@pytest.fixture(scope="session")
def texts() -> list[str]:
    """Thirty texts of two to five words; the fourth is missing."""
    rng = np.random.default_rng(1)
    made = [" ".join(rng.choice(LEXICON, rng.integers(2, 6))).title() for _ in range(30)]
    made[3] = ""
    return made


@pytest.fixture(scope="session")
def told(frames, texts):
    """The small data set with texts as titles of its items."""
    rows, users, items = frames
    items = items.with_columns(title=pl.Series(texts))
    kinds = {"item": {"title": ("text", {})}}
    return make_interactions("told", rows, users=users, items=items, kinds=kinds, label_range=(1, 5), like=4)


@pytest.fixture(scope="session")
def vectors_file(tmp_path_factory) -> Path:
    """Word vectors as GloVe writes them, of nine of the twelve words."""
    path = tmp_path_factory.mktemp("vectors") / "vectors.txt"
    path.write_text("".join(f"{word} {' '.join(map(str, vector))}\n" for word, vector in VECTORS.items()))
    return path


def random_weights(*, layers=2, width=8, wide=16, vocabulary=20, places=32) -> dict[str, np.ndarray]:
    """The arrays of a small BERT encoder, by their published names."""
    rng = np.random.default_rng(0)
    made = {
        "embeddings.word_embeddings.weight": rng.normal(size=(vocabulary, width)),
        "embeddings.position_embeddings.weight": rng.normal(size=(places, width)),
        "embeddings.token_type_embeddings.weight": rng.normal(size=(2, width)),
        "embeddings.LayerNorm.weight": rng.uniform(0.5, 1.5, width),
        "embeddings.LayerNorm.bias": rng.normal(size=width),
    }
    shapes = {
        "attention.self.query": (width, width), "attention.self.key": (width, width),
        "attention.self.value": (width, width), "attention.output.dense": (width, width),
        "attention.output.LayerNorm": (width,), "intermediate.dense": (wide, width), "output.dense": (width, wide),
        "output.LayerNorm": (width,),
    }  # fmt: skip
    for layer in range(layers):
        for name, shape in shapes.items():
            made[f"encoder.layer.{layer}.{name}.weight"] = rng.normal(size=shape) / shape[-1] ** 0.5
            made[f"encoder.layer.{layer}.{name}.bias"] = 0.1 * rng.normal(size=shape[0])
    return {name: value.astype(np.float32) for name, value in made.items()}


@pytest.fixture(scope="session")
def encoder_folder(tmp_path_factory) -> Path:
    """A sentence encoder of random weights, whose words are those of the texts."""
    pytest.importorskip("tokenizers", reason="recmeta[text] is not installed")
    numpy = pytest.importorskip("safetensors.numpy", reason="recmeta[text] is not installed")
    from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors

    folder = tmp_path_factory.mktemp("encoder")
    ids = {word: place for place, word in enumerate(("[PAD]", "[UNK]", "[CLS]", "[SEP]", *LEXICON))}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.BertProcessing(("[SEP]", 3), ("[CLS]", 2))
    tokenizer.enable_padding(length=32)  # as the published one has: it is not to be used
    tokenizer.save(str(folder / "tokenizer.json"))
    config = {"model_type": "bert", "num_attention_heads": 2, "num_hidden_layers": 2, "layer_norm_eps": 1e-12}
    (folder / "config.json").write_text(json.dumps(config))
    numpy.save_file(random_weights(), str(folder / "model.safetensors"))
    return folder


@pytest.fixture
def choice(request, vectors_file, monkeypatch, tmp_path):
    """``choice(name)``: the preparation of a choice of ``text``, at small sizes."""
    monkeypatch.setenv("RECMETA_DATA", str(tmp_path / "cache"))
    made = {
        "bow": partial(bow, **TERMS),
        "tfidf": partial(tfidf, **TERMS),
        "svd": partial(svd, width=3, **TERMS),
        "hash": partial(hash, width=16, shortest=2, longest=3),
        "words": partial(words, file=str(vectors_file), weighting="sif", smoothing=0.01, most=None),
    }

    def choice(name):
        if name == "sentence":
            return sentence(path=str(request.getfixturevalue("encoder_folder")), tokens=16)
        return made[name]()

    return choice
