"""Means of word vectors: by hand, by SIF's formula, and the file's formats."""

import gzip

import numpy as np
import pytest

from recmeta.texts.words import words
from recmeta.types import UserError
from tests.texts.conftest import LEXICON, VECTORS, column

TEXTS = ("Star Wars", "a toy, a toy story", "unheard garden", "", "wars ghost")
SEEN = np.array([True, True, True, True, False])


def prepared(path, **settings):
    given = {"weighting": "mean", "smoothing": 0.001, "most": None} | settings
    preparation = words(file=str(path), **given)
    fitted = preparation.fit(column(*TEXTS), SEEN)
    return fitted, preparation.apply(column(*TEXTS), fitted.state).values


def vector(*there):
    return [np.array(VECTORS[word]) for word in there]


def test_the_mean_of_the_words_that_have_a_vector(vectors_file):
    fitted, values = prepared(vectors_file)
    np.testing.assert_allclose(values[0], np.mean(vector("star", "wars"), 0))
    np.testing.assert_allclose(values[1], np.mean(vector("toy", "toy", "story"), 0))
    np.testing.assert_allclose(values[4], np.mean(vector("wars", "ghost"), 0))
    assert np.isnan(values[2:4]).all()
    # star, wars, toy twice and story of seven words; "a" is too short to be one.
    assert fitted.note == "71.4% of the words have a vector"
    assert fitted.counts == {"words": 6, "words with a vector": 4}


def test_sif(vectors_file):
    """Algorithm 1: weights a / (a + p) over the number of words, less the projection on the first singular vector."""
    fitted, values = prepared(vectors_file, weighting="sif", smoothing=0.1)
    share = {"star": 1 / 7, "wars": 1 / 7, "toy": 2 / 7, "story": 1 / 7, "ghost": 0}

    def mean(*there):
        return sum(0.1 / (0.1 + share[word]) * np.array(VECTORS[word]) for word in there) / len(there)

    means = np.stack([mean("star", "wars"), mean("toy", "toy", "story"), mean("wars", "ghost")])
    first = np.linalg.svd(means[:2])[2][0]  # of meta-train's
    np.testing.assert_allclose(values[[0, 1, 4]], means - np.outer(means @ first, first), rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(values[[0, 1, 4]] @ fitted.state["component"], 0, atol=1e-6)


@pytest.mark.parametrize("how", ["glove", "word2vec", "gz", "trailing blanks", "a word of two"])
def test_formats_of_the_file(how, tmp_path, vectors_file):
    text = vectors_file.read_text()
    path = tmp_path / "vectors.txt"
    if how == "gz":
        path = tmp_path / "vectors.txt.gz"
        path.write_bytes(gzip.compress(text.encode()))
    else:
        changed = {
            "glove": text, "word2vec": f"{len(VECTORS)} 4\n{text}", "trailing blanks": text.replace("\n", " \n"),
            "a word of two": f"{text}star wars 9 9 9 9\n",
        }  # fmt: skip
        path.write_text(changed[how])
    np.testing.assert_array_equal(prepared(path)[1], prepared(vectors_file)[1])


def test_only_the_first_words_are_read(vectors_file):
    values = prepared(vectors_file, most=2)[1]
    assert LEXICON[:2] == ("star", "wars")
    np.testing.assert_allclose(values[4], VECTORS["wars"])
    assert np.isnan(values[1]).all()


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("star 1 2\nwars 1\n", "line 2: must be a word and 2 numbers"),
        ("star 1 2\nwars 1 x\n", "vector 2, of 'wars': not all are numbers"),
        ("star 1 nan\n", "vector 1, of 'star': not all are finite"),
        ("", "holds no vectors"),
    ],
)
def test_a_damaged_file_is_refused(text, problem, tmp_path):
    (tmp_path / "vectors.txt").write_text(text)
    with pytest.raises(UserError, match=problem):
        prepared(tmp_path / "vectors.txt")


def test_a_file_that_is_no_text_is_refused(tmp_path):
    for name, content in (("vectors.bin", b"3 2\nstar \xff\xfe\x00"), ("vectors.gz", b"star 1 2\n")):
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=rf"{name}: not word vectors as UTF-8 text, or damaged \("):
            prepared(tmp_path / name)


def test_a_missing_or_another_file_is_refused(tmp_path, vectors_file):
    with pytest.raises(UserError, match=r"text.file is not set"):
        words(file=None, weighting="mean", smoothing=0.1, most=None)
    with pytest.raises(UserError, match=r"text.file=.*none.txt: cannot be read \(No such file"):
        prepared(tmp_path / "none.txt")
    path = tmp_path / "vectors.txt"
    path.write_text(vectors_file.read_text())
    preparation = words(file=str(path), weighting="mean", smoothing=0.1, most=None)
    state = preparation.fit(column(*TEXTS), SEEN).state
    path.write_text("star 1 2 3 4\n")
    preparation.apply(column("star"), state)  # this process has read it
    from recmeta.texts.words import read_vectors

    read_vectors.cache_clear()
    with pytest.raises(UserError, match=r"sha256 is .*, and the run was fitted with .*; put that file there"):
        preparation.apply(column("star"), state)
