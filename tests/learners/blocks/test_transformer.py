"""A transformer over a set of rows: its formula in numpy, and what likeness does."""

import jax
import jax.numpy as jnp
import numpy as np
from scipy.special import erf, softmax

from recmeta.learners.blocks import transformer


def parameters(rng, width=4, heads=2):
    leaves, structure = jax.tree.flatten(transformer.init(jax.random.key(0), width, heads, 2))
    return structure.unflatten([np.asarray(leaf) + 0.3 * rng.normal(size=leaf.shape) for leaf in leaves])


def apply(params, rows, read, mask, alike, rate=0.0, keys=(None, None)):
    return transformer.apply(params, rows, read, mask, alike, iter(keys), rate)


def norm(params, rows):
    centred = rows - rows.mean(-1, keepdims=True)
    return params["scale"] * centred / np.sqrt((centred**2).mean(-1, keepdims=True) + 1e-5) + params["shift"]


def test_a_block_is_its_formula():
    """Two heads, three rows that read two of three others; the layer on each row has tanh's form of GELU."""
    rng = np.random.default_rng(0)
    params = parameters(rng)
    rows, read, alike = rng.normal(size=(3, 4)), rng.normal(size=(3, 4)), rng.normal(size=(2, 3, 3))
    mask = np.array([True, False, True])
    line = lambda layer, x: x @ layer["kernel"] + layer["bias"]  # noqa: E731
    inner, outer = norm(params["before"], rows), norm(params["before"], read)
    query, key, value = (
        line(params[name]["layer_0"], x) for name, x in (("query", inner), ("key", outer), ("value", outer))
    )
    heads = []
    for head in range(2):
        at = slice(2 * head, 2 * head + 2)
        logits = query[:, at] @ key[:, at].T / 2**0.5 + np.einsum("s,snm->nm", params["likeness"][head], alike)
        heads.append(softmax(np.where(mask, logits, -np.inf), axis=1) @ value[:, at])
    after = rows + line(params["out"]["layer_0"], np.concatenate(heads, axis=1))
    hidden = line(params["feed"]["layer_0"], norm(params["between"], after))
    gelu = hidden * (1 + np.tanh((2 / np.pi) ** 0.5 * (hidden + 0.044715 * hidden**3))) / 2
    expected = after + line(params["feed"]["layer_1"], gelu)
    with jax.enable_x64():
        found = apply(jax.tree.map(jnp.asarray, params), *map(jnp.asarray, (rows, read, mask, alike)))
    np.testing.assert_allclose(found, expected, rtol=1e-9)
    assert np.abs(gelu - hidden * (1 + erf(hidden / 2**0.5)) / 2).max() < 1e-2  # near its exact form


def test_a_large_likeness_reads_the_most_alike_row_alone():
    rng = np.random.default_rng(1)
    params = jax.tree.map(jnp.asarray, parameters(rng)) | {"likeness": jnp.full((2, 2), 500.0)}
    rows, read = rng.normal(size=(2, 4)), rng.normal(size=(3, 4))
    alike = np.stack([[[0.1, 0.9, 0.2], [0.8, 0.1, 0.3]]] * 2)
    there = np.ones(3, bool)
    found = apply(params, rows, read, there, alike)
    for row, nearest in enumerate((1, 0)):
        only = apply(params, rows[row : row + 1], read, np.arange(3) == nearest, alike[:, row : row + 1])
        np.testing.assert_allclose(found[row], only[0], rtol=1e-4, atol=1e-5)


def test_dropout_keeps_the_mean_and_needs_a_key():
    rows = jnp.ones((200, 200))
    dropped = transformer.dropped(jax.random.key(0), rows, 0.25)
    np.testing.assert_allclose(np.unique(dropped), [0, 4 / 3], rtol=1e-6)
    assert abs(float(dropped.mean()) - 1) < 0.02
    assert transformer.dropped(None, rows, 0.25) is rows


def test_likeness_is_the_cosine():
    a, b = np.array([[3.0, 4.0], [0.0, 0.0]]), np.array([[4.0, 3.0]])
    np.testing.assert_allclose(transformer.alike(a, b), [[0.96], [0.0]], atol=1e-6)
