"""Encoders that read the support as a history: what each row may see, and their formulas in numpy."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from recmeta.encoders.bow_history import bow_history
from recmeta.encoders.cnn import Caser, cnn
from recmeta.encoders.deep_set import deep_set
from recmeta.encoders.dilated_cnn import Block as DilatedBlock
from recmeta.encoders.dilated_cnn import dilated_cnn
from recmeta.encoders.gru import gru
from recmeta.encoders.history import of_prefixes
from recmeta.encoders.hstu import Block as PointwiseBlock
from recmeta.encoders.hstu import hstu
from recmeta.encoders.lstm import lstm
from recmeta.encoders.mean import mean
from recmeta.encoders.rnn import rnn
from recmeta.encoders.transformer import Block, transformer
from recmeta.types import UserError

ATTENTION = {"state": 4, "heads": 2, "blocks": 2, "length": 3}
HISTORIES = {
    "rnn": partial(rnn, state=3), "lstm": partial(lstm, state=3), "gru": partial(gru, state=3),
    "mean": partial(mean, state=3), "bow_history": partial(bow_history, state=3), "set": partial(deep_set, state=8),
    "cnn": partial(cnn, state=3, window=3, horizontal=2, vertical=2),
    "dilated_cnn": partial(dilated_cnn, state=3, size=2, blocks=2),
    "transformer": partial(transformer, **ATTENTION), "hstu": partial(hstu, **ATTENTION),
}  # fmt: skip
ORDERLESS = ("mean", "bow_history", "set")
RNG = np.random.default_rng(0)
ROWS = RNG.normal(size=(6, 4)).astype(np.float32)


@pytest.fixture(scope="module")
def task(problem):
    return jax.tree.map(lambda values: values[0], problem.test["user_cold"].task)


@pytest.fixture(scope="module", params=HISTORIES)
def named(request, problem):
    encoder = HISTORIES[request.param](spec=problem.spec, rngs=nnx.Rngs(0), width=2, prompt=1)
    # Away from the start, where biases are 0 and some rectifiers are shut.
    leaves, structure = jax.tree.flatten(nnx.state(encoder))
    rng = np.random.default_rng(1)
    moved = [leaf + 0.5 * rng.normal(size=leaf.shape).astype(np.float32) for leaf in leaves]
    nnx.update(encoder, structure.unflatten(moved))
    return request.param, encoder


def test_a_support_row_sees_what_came_before_it_and_a_query_row_all(task, named):
    """The Jacobian of what support rows read by the support's rows and labels is strictly lower triangular."""
    name, encoder = named
    ends = encoder.context.width

    @jax.jit
    def read(rows, mask):
        support = task.support._replace(mask=mask)
        return encoder._read(rows[:, :-1], support._replace(y=rows[:, -1]))

    rows = jnp.concatenate([encoder.row(task.support.x), task.support.y[:, None]], axis=1)
    slopes = np.abs(jax.jit(jax.jacobian(read))(rows, task.support.mask)).sum((1, 3))
    np.testing.assert_array_equal(np.triu(slopes[:-1]), 0)
    last = slopes[-1] > 0
    assert last.all() or (name == "cnn" and last[-3:].all() and not last[:-3].any())
    states = read(rows, task.support.mask)
    of_support, of_query = (encoder(task.context, task.support, x).context[:, ends:] for x in (None, task.query.x))
    np.testing.assert_allclose(of_support, states[:-1], rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(of_query, states[-1:], rtol=1e-4, atol=1e-5)
    # A row that is not there might as well not be: the others are read as if they stood next to each other.
    there = np.array([True, False, True, True, False])
    gaps = read(jnp.where(there[:, None], rows, 7.0), jnp.array(there))
    without = read(jnp.concatenate([rows[there], rows[:2]]), jnp.array([True] * 3 + [False] * 2))
    np.testing.assert_allclose(gaps, without[np.array([0, 1, 1, 2, 3, 3])], rtol=1e-4, atol=1e-5)
    turned = read(rows[::-1], task.support.mask)[-1]
    assert np.allclose(turned, states[-1], atol=1e-5) == (name in ORDERLESS)


def test_prefixes_of_rows_with_gaps():
    there = jnp.array([False, True, False, True, True, False])
    found = of_prefixes(jnp.array(ROWS), there, lambda rows, there: jnp.cumsum(jnp.where(there[:, None], rows, 0), 0))
    total = np.cumsum(np.where(there[:, None], ROWS, 0), axis=0)
    np.testing.assert_allclose(found, np.concatenate([np.zeros((1, 4)), total]), atol=1e-6)


def layer(of, rows):
    return rows @ np.asarray(of.kernel[...]) + np.asarray(of.bias[...])


def normed(rows, epsilon):
    return (rows - rows.mean(-1, keepdims=True)) / np.sqrt(rows.var(-1, keepdims=True) + epsilon)


def test_a_block_of_self_attention_by_hand():
    block = Block(4, heads=2, dropout=0.0, rngs=nnx.Rngs(0))
    inner = normed(ROWS, 1e-8)
    query, keys, value = (layer(of, inner).reshape(6, 2, 2) for of in (block.query, block.keys, block.value))
    read = np.zeros((6, 2, 2))
    for row in range(6):
        for head in range(2):
            logits = keys[: row + 1, head] @ query[row, head] / 2**0.5
            share = np.exp(logits) / np.exp(logits).sum()
            read[row, head] = share @ value[: row + 1, head]
    rows = ROWS + layer(block.out, read.reshape(6, 4))
    expected = rows + layer(block.layers[1], np.maximum(layer(block.layers[0], normed(rows, 1e-8)), 0))
    np.testing.assert_allclose(block(jnp.array(ROWS)), expected, rtol=1e-4, atol=1e-5)


def test_a_block_of_pointwise_attention_by_hand():
    block = PointwiseBlock(4, heads=2, length=3, dropout=0.0, rngs=nnx.Rngs(0))
    block.back[...] = jnp.array(RNG.normal(size=(2, 3)), jnp.float32)
    silu = lambda x: x / (1 + np.exp(-x))  # noqa: E731
    query, keys, gate, value = (silu(layer(of, normed(ROWS, 1e-6))) for of in block.maps)
    read = np.zeros((6, 4))
    for row in range(6):
        for head in range(2):
            own = slice(2 * head, 2 * head + 2)
            for other in range(row + 1):
                bias = float(block.back[...][head, min(row - other, 2)])
                weight = silu(query[row, own] @ keys[other, own] + bias) / (row + 1)
                read[row, own] += weight * value[other, own]
    expected = ROWS + layer(block.out, normed(read, 1e-6) * gate)
    np.testing.assert_allclose(block(jnp.array(ROWS)), expected, rtol=1e-4, atol=1e-5)


def test_filters_over_the_last_rows_by_hand():
    reader = Caser(4, state=3, window=2, horizontal=2, vertical=3, dropout=0.0, rngs=nnx.Rngs(0))
    found = reader(jnp.array(ROWS), jnp.ones(6, bool))
    padded = np.concatenate([np.zeros((1, 4)), ROWS])
    for row in range(6):
        last = padded[row : row + 2]
        single = np.maximum(layer(reader.heights[0], last), 0).max(0)
        double = np.maximum(layer(reader.heights[1], last.reshape(1, 8)), 0)[0]
        vertical = layer(reader.columns, last.T).reshape(-1)
        expected = np.maximum(layer(reader.output, np.concatenate([single, double, vertical])), 0)
        np.testing.assert_allclose(found[row + 1], expected, rtol=1e-4, atol=1e-5)


def test_a_dilated_block_by_hand():
    block = DilatedBlock(4, size=3, dilation=1, rngs=nnx.Rngs(0))
    value = ROWS
    for times, (of, _) in enumerate(zip(block.convolutions, block.norms, strict=True), start=1):
        padded = np.concatenate([np.zeros((2 * times, 4)), value])
        seen = np.stack([np.concatenate([padded[t], padded[t + times], padded[t + 2 * times]]) for t in range(6)])
        value = np.maximum(normed(layer(of, seen), 1e-6), 0)
    np.testing.assert_allclose(block(jnp.array(ROWS)), ROWS + value, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("make", [transformer, hstu])
def test_a_state_that_heads_do_not_divide_is_refused(problem, make):
    with pytest.raises(UserError, match=r"encoder.state=5 must be a multiple of encoder.heads=2"):
        make(spec=problem.spec, rngs=nnx.Rngs(0), width=2, **ATTENTION | {"state": 5})
