"""What must hold of every kind of feature; and that nothing else knows them by name."""

import ast
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import polars as pl
import pytest

import recmeta
from recmeta.features.kinds import KINDS, kind_of, names, stored
from recmeta.types import Column, UserError

ROOT = Path(recmeta.__file__).parent
NAN = np.nan

RAW = {
    "categorical": ["cook", None, "nurse", "spy"],
    "multi": [["war", "drama"], None, ["drama"], ["crime", "drama", "war"]],
    "numeric": [30.0, None, 50.0, 1e6],
    "vector": [[3.0, 4.0], None, [0.0, 5.0], [-60.0, 80.0]],
    "weighted": [{"war": 0.5, "drama": 2}, None, {"drama": 0.25}, {"crime": 1, "drama": 3, "war": 4}],
}
"""Plain values of four entities; the second has none, and the last is not of meta-train."""

SEEN = np.array([True, True, True, False])
ENCODED = [kind.name for kind in KINDS if kind.arrays]


@pytest.fixture(params=ENCODED)
def coded(request):
    """``kind, raw values, fitted, arrays`` of the four entities."""
    kind = kind_of(request.param)
    values = kind.reading.raw(RAW[kind.name])
    fitted = kind.arrays.fit(Column(kind.name, values), SEEN)
    return kind, values, fitted, kind.arrays.encode(fitted, values)


def test_every_kind_is_tried():
    assert set(RAW) == set(ENCODED)
    assert set(names(lambda kind: True)) == set(RAW) | {"text"}


def test_arrays_by_hand():
    def encoded(name):
        kind = kind_of(name)
        values = kind.reading.raw(RAW[name])
        return kind.arrays.encode(kind.arrays.fit(Column(name, values), SEEN), values).tolist()

    assert encoded("categorical") == [1, 0, 2, 0]  # cook, nurse; "spy" is of nobody in meta-train
    assert encoded("multi") == [[1, 2], [0, 0], [1, 0], [1, 2]]  # drama, war
    np.testing.assert_allclose(encoded("numeric"), [[-1, 0], [0, 1], [1, 0], [99996, 0]], rtol=1e-6)
    drama, war = [1, 2], [2, 0.5]  # code and weight
    assert encoded("weighted") == [[drama, war], [[0, 0], [0, 0]], [[1, 0.25], [0, 0]], [[1, 3], [2, 4]]]
    # Two vectors of length 5: that is the root of their mean squared length.
    np.testing.assert_allclose(encoded("vector"), [[0.6, 0.8, 0], [0, 0, 1], [0, 1, 0], [-12, 16, 0]], rtol=1e-6)


def test_what_is_missing_is_known_as_missing(coded):
    kind, values, _, arrays = coded
    assert (kind.reading.known(values) > 0).tolist() == [True, False, True, True]
    assert kind.arrays.complete(arrays)[:3].tolist() == [True, False, True]


def test_nothing_is_fitted_to_whom_meta_train_has_not(coded):
    kind, values, fitted, arrays = coded
    alone = kind.arrays.fit(Column(kind.name, values[:3]), SEEN[:3])
    assert kind.arrays.size(alone) == kind.arrays.size(fitted)
    np.testing.assert_array_equal(kind.arrays.encode(alone, values[:3]), arrays[:3])


def test_an_entity_alone_is_encoded_as_among_others(coded):
    kind, _, fitted, arrays = coded
    for place, value in enumerate(RAW[kind.name]):
        alone = kind.arrays.encode(fitted, kind.reading.raw([value]))
        np.testing.assert_array_equal(alone, arrays[place : place + 1])


def test_design_rows_are_what_linear_maps_and_products_are_of(coded):
    """``linear``, ``product`` and ``square`` against the explicit columns that scikit-learn is given."""
    kind, _, fitted, arrays = coded
    size = kind.arrays.size(fitted)
    rows = kind.arrays.columns(arrays, size).toarray()
    assert rows.shape == (4, size)
    rng = np.random.default_rng(0)
    weights, weight = rng.normal(size=(size, 3)), rng.uniform(size=size)
    x = jnp.asarray(arrays)
    np.testing.assert_allclose(kind.arrays.linear(x, jnp.asarray(weights)), rows @ weights, rtol=1e-5)
    np.testing.assert_allclose(
        kind.arrays.product(x, x[:3], jnp.asarray(weight)), rows * weight @ rows[:3].T, rtol=1e-5
    )
    np.testing.assert_allclose(kind.arrays.square(x, jnp.asarray(weight)), (rows**2 * weight).sum(1), rtol=1e-5)


def test_embeddings_have_a_table_or_a_map_and_unknown_words_are_zero(coded):
    kind, _, fitted, arrays = coded
    size, x = kind.arrays.size(fitted), jnp.asarray(arrays)
    rows, inputs = kind.arrays.rows(size), kind.arrays.inputs(size)
    assert bool(rows) != bool(inputs)
    rng = np.random.default_rng(0)
    table, own = (jnp.asarray(rng.normal(size=(number, 5))) for number in (rows, inputs))
    embedded = kind.arrays.embed(x, table[kind.arrays.codes(x)] if rows else None, own if inputs else None)
    assert embedded.shape == (4, 5)
    if rows:
        design = kind.arrays.columns(arrays, size).toarray()
        total = design.sum(1, keepdims=True)
        mean = design / np.where(total > 0, total, 1)
        np.testing.assert_allclose(embedded, mean @ np.asarray(table), rtol=1e-5)
        np.testing.assert_array_equal(embedded[1], 0)
    else:
        np.testing.assert_allclose(embedded, arrays @ np.asarray(own), rtol=1e-5)


def test_vectors_of_a_cosine_weigh_alike_whatever_their_kind(coded):
    """A category, and a vector of any length, are of length 1; what is missing is 0, and single numbers have none."""
    kind, _, fitted, arrays = coded
    if kind.numbers:
        assert kind.arrays.vectors is None
        return
    length = np.linalg.norm(kind.arrays.vectors(jnp.asarray(arrays), kind.arrays.size(fitted)), axis=1)
    expected = {"categorical": [1, 0, 1, 0], "multi": [2, 0, 1, 2], "vector": [1, 0, 1, 1], "weighted": [1, 0, 1, 1]}
    np.testing.assert_allclose(length**2, expected[kind.name], rtol=1e-6)


def test_the_hash_changes_with_a_value_and_with_what_is_missing(coded):
    kind, values, *_ = coded
    hashed = {kind.reading.content(values), kind.reading.content(values[:3])}
    other = kind.reading.raw([RAW[kind.name][2], *RAW[kind.name][1:]])
    gone = kind.reading.raw([None, *RAW[kind.name][1:]])
    assert len(hashed | {kind.reading.content(other), kind.reading.content(gone)}) == 4
    assert kind.reading.content(kind.reading.raw(RAW[kind.name])) == kind.reading.content(values)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("numeric", "old", "'old' is not a number"),
        ("numeric", float("inf"), "inf is not finite"),
        ("multi", "war", "'war' is no list of values"),
        ("categorical", ["war"], r"\['war'\] is not one value"),
        ("vector", [1.0, NAN], r"\[1.0, nan\] is not 2 finite numbers"),
        ("vector", "a b", "'a b' is no list of numbers"),
        ("vector", ["a"], r"\['a'\] is no list of numbers"),
        ("text", 3, "3 is no text"),
        ("weighted", ["war"], r"\['war'\] is no weight for each word"),
        ("weighted", {"war": -1.0}, r"'war' has no weight of at least 0, but -1.0"),
    ],
)
def test_refuses_a_value_of_another_kind(name, value, said):
    with pytest.raises(UserError, match=f"^{said}"):
        kind_of(name).reading.raw([value])


def test_polars_types_of_loaders_tables():
    types = [pl.String(), pl.List(pl.String), pl.Float64(), pl.Array(pl.Float32, 2), pl.List(pl.Float64)]
    assert [stored(each).name for each in types] == ["categorical", "multi", "numeric", "vector", "vector"]
    with pytest.raises(UserError, match=r"^a column of Boolean is of no kind"):
        stored(pl.Boolean())


def test_refuses_what_is_no_kind(tmp_path, monkeypatch):
    (tmp_path / "odd.py").write_text("angle = 3\n")
    monkeypatch.syspath_prepend(tmp_path)
    for name, said in (
        ("word", "kind=word: must be one of categorical, multi, numeric, text, vector, weighted, or one of your own"),
        ("nowhere.angle", "nowhere.angle: cannot be found"),
        ("odd.angle", "kind=odd.angle: is no recmeta.features.kind.Kind"),
    ):
        with pytest.raises(UserError, match=f"^{said}"):
            kind_of(name)


# --- nothing else branches on a kind ------------------------------------------------------------------------------

OTHER_MEANINGS = {
    ("config/schema.py", "text"),  # a type of setting, in words; and the group that reads texts
    ("config/components.py", "text"),  # the same group
    ("sweeps/groups.py", "text"),
    ("results/regret.py", "text"),
    ("experiment/prepare.py", "text"),  # a hash, of the files that texts are encoded by
    ("runs/directory.py", "text"),
    ("training/warm_start.py", "text"),
    ("datasets/content.py", "text"),  # a column of lines of a file
    ("datasets/separated.py", "text"),  # the same
    ("datasets/quotes.py", "text"),
    ("datasets/sheet.py", "text"),
    ("experiment/summary.py", "text"),  # a key of summary.json: a verdict in words
    ("statistics/summary.py", "text"),
    ("reporters/tables.py", "text"),
}
"""Where a word that is also a kind's name means something else."""


def test_no_other_module_names_a_kind():
    found = set()
    for path in ROOT.rglob("*.py"):
        place = path.relative_to(ROOT).as_posix()
        if place.startswith("features/"):
            continue
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and node.value in {kind.name for kind in KINDS}:
                found.add((place, node.value))
    assert found <= OTHER_MEANINGS


def test_no_model_metric_or_baseline_asks_for_a_dtype():
    """Nor do protocols and cleaning: the kind knows what its values are."""
    for room in ("models", "metrics", "baselines", "protocols", "cleaning", "encoders"):
        for path in (ROOT / room).glob("*.py"):
            if path.name != "model.py":  # which asks for the types of parameters, and reads no feature
                assert "issubdtype" not in path.read_text(encoding="utf-8"), path
