"""Bags of words, TF-IDF, its singular vectors and hashed n-grams, against formulas."""

import numpy as np
import pytest

from recmeta.texts.bow import bow
from recmeta.texts.hash import hash
from recmeta.texts.svd import svd
from recmeta.texts.tfidf import tfidf
from recmeta.types import UserError
from tests.texts.conftest import TERMS, column

TEXTS = ("Toy story: a toy", "Story of love", "Love, love", "", "toy ghost story")
SEEN = np.array([True, True, True, True, False])
ALL = {**TERMS, "share": 1.0}


def prepared(preparation, texts=TEXTS, seen=SEEN):
    fitted = preparation.fit(column(*texts), seen)
    return fitted, preparation.apply(column(*texts), fitted.state).values


def test_a_bag_has_each_word_of_the_vocabulary_once():
    fitted, values = prepared(bow(**ALL))
    assert fitted.state == {"words": ["love", "of", "story", "toy"]}
    assert values.tolist() == [("story", "toy"), ("love", "of", "story"), ("love",), (), ("story", "toy")]


@pytest.mark.parametrize(
    ("changed", "words"),
    [({"least": 2}, ["love", "story"]), ({"share": 0.5}, ["of", "toy"]), ({"most": 2}, ["love", "story"])],
)
def test_the_vocabulary_is_limited(changed, words):
    """Of three texts: love and story are in two, and love occurs three times; toy in one, twice."""
    texts = ("story story", "toy toy", "of love story", "love love", "")
    if changed == {"share": 0.5}:
        texts = TEXTS
    assert prepared(bow(**ALL | changed), texts)[0].state["words"] == words


def test_tfidf_is_salton_and_buckleys():
    """Term frequency times ln((1 + n) / (1 + df)) + 1, over the length of all; n = 3 texts of meta-train."""
    fitted, values = prepared(tfidf(**ALL))
    idf = {word: np.log(4 / (1 + df)) + 1 for word, df in {"love": 2, "of": 1, "story": 2, "toy": 1}.items()}
    np.testing.assert_allclose(fitted.state["idf"], [idf[word] for word in fitted.state["words"]])
    counted = [{"toy": 2, "story": 1}, {"story": 1, "of": 1, "love": 1}, {"love": 2}, {}, {"toy": 1, "story": 1}]
    for found, counts in zip(values, counted, strict=True):
        weights = {word: n * idf[word] for word, n in counts.items()}
        length = np.sqrt(sum(weight**2 for weight in weights.values()))
        assert dict(found) == pytest.approx({word: weight / length for word, weight in weights.items()})


def test_singular_vectors_are_numpys(texts):
    """Coordinates of meta-train, up to the sign of each, which makes the largest entry of its vector positive."""
    seen = np.arange(len(texts)) < 20
    fitted, values = prepared(svd(width=3, **TERMS), texts, seen)
    words = fitted.state["words"]
    rows = np.zeros((len(texts), len(words)))
    for row, entry in enumerate(tfidf(**TERMS).apply(column(*texts), fitted.state).values):
        for word, weight in entry:
            rows[row, words.index(word)] = weight
    vectors = np.linalg.svd(rows[seen], full_matrices=False)[2][:3]
    vectors *= np.sign(vectors[np.arange(3), abs(vectors).argmax(1)])[:, None]
    there = rows.any(axis=1)
    np.testing.assert_allclose(values[there], (rows @ vectors.T)[there], atol=1e-5)
    assert np.isnan(values[~there]).all()


def test_n_grams_do_not_know_the_order_of_words_and_forgive_a_letter():
    fitted, values = prepared(
        hash(width=512, shortest=3, longest=5), ("wizard of oz", "oz of wizard", "wizzard", "train")
    )
    assert fitted.state == {"width": 512, "shortest": 3, "longest": 5}
    np.testing.assert_allclose(np.linalg.norm(values, axis=1), 1)
    np.testing.assert_allclose(values[0], values[1])
    assert values[2] @ values[0] > 0.3 > abs(values[3] @ values[0])


@pytest.mark.parametrize(
    ("make", "problem"),
    [
        (lambda: prepared(bow(**ALL | {"least": 9})), "text: no word is in 9 or more of the 3 texts of meta-train"),
        (lambda: prepared(svd(width=3, **ALL)), "text.width=3: must be below 3, the smaller of 3 texts"),
        (lambda: hash(width=8, shortest=4, longest=3), "text.shortest=4: must be at most text.longest=3"),
    ],
)
def test_refusals(make, problem):
    with pytest.raises(UserError, match=problem):
        make()
