"""Inner products against explicit one-hot coding; TF-IDF against scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest
from sklearn.feature_extraction.text import TfidfTransformer

from recmeta.baselines.kernel import even_weights, inverse_document_frequency, kernel, square_length
from recmeta.features.categorical import code_columns
from recmeta.features.kinds import arrays_of
from recmeta.features.multi import LOOK_UP
from recmeta.types import Field


def coded(problem, x, weights):
    """Rows in one-hot coding, each column times the root of its weight."""
    columns = [
        arrays_of(field).columns(np.asarray(x[field.name]), field.size).toarray() * np.sqrt(np.asarray(weight))
        for field, weight in weights.items()
    ]
    return np.concatenate(columns, axis=1)


@pytest.mark.parametrize("weighing", [even_weights, inverse_document_frequency])
def test_products_are_those_of_one_hot_rows(problem, weighing):
    weights = weighing(problem)
    x, z = ({name: values[rows] for name, values in problem.train.entities.items()} for rows in (slice(12), slice(20)))
    rows, others = coded(problem, x, weights), coded(problem, z, weights)
    np.testing.assert_allclose(kernel(x, z, weights), rows @ others.T, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(square_length(x, weights), (rows**2).sum(1), rtol=1e-5)


def test_even_weights_are_of_all_fields_but_the_id(problem):
    assert {field.name for field in even_weights(problem)} == {"genre", "year"}


def test_inverse_document_frequency_is_that_of_scikit_learn(problem):
    weights = inverse_document_frequency(problem)
    ((field, weight),) = weights.items()
    assert field.name == "genre"
    seen = np.asarray(problem.train.entities["id"]) > 0
    counts = code_columns(np.asarray(problem.train.entities["genre"])[seen], field.size)
    np.testing.assert_allclose(np.sqrt(weight)[1:], TfidfTransformer().fit(counts).idf_[1:], rtol=1e-6)


def test_no_fields_no_products():
    x = {"id": jnp.arange(3)}
    np.testing.assert_array_equal(kernel(x, x, {}), np.zeros((3, 3)))


def test_long_lists_of_words_are_looked_up_with_the_same_products():
    """Of 40 words a row, all pairs are too many to compare: the product is that of the one-hot rows all the same."""
    rng, multi = np.random.default_rng(0), Field("tags", "multi", 90)
    x, z = (
        np.array([np.pad(rng.permutation(89)[:n] + 1, (0, 40 - n)) for n in sizes]) for sizes in ((40, 7), (0, 30, 5))
    )
    weight = rng.random(90).astype(np.float32)
    rows, others = (arrays_of(multi).columns(each, 90).toarray() for each in (x, z))
    found = kernel({"tags": jnp.array(x)}, {"tags": jnp.array(z)}, {multi: jnp.array(weight)})
    np.testing.assert_allclose(found, rows * weight @ others.T, rtol=1e-5)
    assert 2 * 90 + LOOK_UP * 2 * (40 + 3 * 40) < 2 * 3 * 40 * 40  # it is not the comparison that is tested
