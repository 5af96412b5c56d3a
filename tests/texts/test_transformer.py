"""The transformer against the same equations in numpy, one text and one head at a time."""

import numpy as np
import pytest
from scipy.special import erf

from recmeta.texts.transformer import Shape, encode_tokens, make_weights
from recmeta.types import UserError
from tests.texts.conftest import random_weights

PUBLISHED = random_weights()
SHAPE = Shape(heads=2, epsilon=1e-12)


def by_hand(ids, heads=2, layers=2):
    """The vector of one text, from the published arrays."""

    def dense(name, x):
        return x @ PUBLISHED[f"{name}.weight"].astype(float).T + PUBLISHED[f"{name}.bias"]

    def norm(name, x):
        middle = x - x.mean(1, keepdims=True)
        return middle / x.std(1, keepdims=True) * PUBLISHED[f"{name}.weight"] + PUBLISHED[f"{name}.bias"]

    x = sum(
        PUBLISHED[f"embeddings.{name}_embeddings.weight"][rows].astype(float)
        for name, rows in (("word", ids), ("position", range(len(ids))), ("token_type", [0] * len(ids)))
    )
    x = norm("embeddings.LayerNorm", x)
    for layer in range(layers):
        at = f"encoder.layer.{layer}"
        query, key, value = (
            np.split(dense(f"{at}.attention.self.{n}", x), heads, 1) for n in ("query", "key", "value")
        )
        mixed = []
        for q, k, v in zip(query, key, value, strict=True):
            share = np.exp(q @ k.T / np.sqrt(q.shape[1]))
            mixed.append(share / share.sum(1, keepdims=True) @ v)
        x = norm(f"{at}.attention.output.LayerNorm", x + dense(f"{at}.attention.output.dense", np.hstack(mixed)))
        inner = dense(f"{at}.intermediate.dense", x)
        x = norm(f"{at}.output.LayerNorm", x + dense(f"{at}.output.dense", inner * (1 + erf(inner / np.sqrt(2))) / 2))
    mean = x.mean(0)
    return mean / np.linalg.norm(mean)


@pytest.mark.parametrize("prefix", ["", "bert."])
def test_equals_numpy_with_padding_of_any_id(prefix):
    weights = make_weights({prefix + name: value for name, value in PUBLISHED.items()}, 2)
    texts = [[2, 5, 9, 3], [2, 7, 3], [2, 4, 5, 6, 8, 3]]
    tokens, mask = np.full((4, 8), 11, np.int32), np.zeros((4, 8), bool)
    for row, ids in enumerate(texts):
        tokens[row, : len(ids)], mask[row, : len(ids)] = ids, True
    found = np.asarray(encode_tokens(weights, tokens, mask, shape=SHAPE))
    np.testing.assert_allclose(found[:3], [by_hand(ids) for ids in texts], atol=2e-6)
    assert np.isfinite(found[3]).all()  # a row without a token fills a batch up


def test_weights_that_lack_an_array_are_refused():
    with pytest.raises(UserError, match=r"^the weights have no encoder.layer.2.attention.self.query.weight"):
        make_weights(PUBLISHED, 3)
