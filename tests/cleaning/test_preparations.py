from dataclasses import replace

import numpy as np
import pytest

from recmeta.cleaning import bucket, clip, standardise, vocabulary
from recmeta.features.fitting import fit
from recmeta.types import Column, Entities, UserError

NAN = np.nan


@pytest.fixture
def prepared(tiny):
    """``prepared(values, seen, *steps)``: an item feature "x" after the steps, and what they have to say."""

    def make(values, seen, *steps, kind="numeric"):
        data = tiny(" ".join(f"a{i:03}" for i in range(len(values))))
        column = np.empty(len(values), object) if kind == "multi" else np.array(values)
        column[:] = values
        data = replace(data, items=Entities(data.items.ids, {"x": Column(kind, column)}))
        for step in steps:
            data = step(data)
        seen, noted = np.array(seen, bool), data.items.features["x"]
        _, _, notes = fit(data.items, seen, ids=False)
        column = replace(noted, preparations=())
        for preparation in noted.preparations:
            column = preparation.apply(column, preparation.fit(column, seen).state)
        return column, notes

    return make


def test_buckets_have_equally_many_of_what_meta_train_has(prepared):
    # Seen are 1, 2, 3, 4, 5, 6, whose thirds meet at 2.67 and 4.33; the 0 and the 100 have not been seen.
    values, seen = [0, 1, 2, 3, 4, 5, 6, 100, NAN], [0, 1, 1, 1, 1, 1, 1, 0, 1]
    column, notes = prepared(values, seen, lambda data: bucket(data, buckets=3))
    assert column.kind == "categorical"
    assert column.values.tolist() == ["0", "0", "0", "1", "1", "2", "2", "2", ""]
    assert notes == [
        "bucket item.x: values in 8, values dropped 0, values out 8, buckets 3; of the 7 that meta-train has: "
        "edges 2.66667, 4.33333"
    ]


def test_a_value_on_an_edge_is_above_it_and_equal_edges_are_one(prepared):
    column, _ = prepared([1, 1, 1, 2], [1] * 4, lambda data: bucket(data, buckets=4))
    # The quartiles are 1, 1 and 1.25.
    assert column.values.tolist() == ["1", "1", "1", "2"]
    assert prepared([1.0, 1.0], [1, 1], lambda data: bucket(data, buckets=3))[0].values.tolist() == ["1", "1"]


def test_ten_buckets_sort_as_text_as_they_do_as_numbers(prepared):
    column, _ = prepared(np.arange(120.0), [1] * 120, lambda data: bucket(data, buckets=12))
    assert sorted(column.values.tolist()) == column.values.tolist()
    assert np.unique(column.values, return_counts=True)[1].tolist() == [10] * 12


def test_outliers_are_brought_to_the_quantiles_that_meta_train_has(prepared):
    # Seen are 0, 1, 2, 3, 4: from a quarter to three quarters is from 1 to 3.
    values, seen = [0, 1, 2, 3, 4, -50, NAN], [1, 1, 1, 1, 1, 0, 0]
    column, notes = prepared(values, seen, lambda data: clip(data, low=0.25, high=0.75))
    np.testing.assert_array_equal(column.values, [1, 1, 2, 3, 3, 1, NAN])
    assert "values in 6, values dropped 0, values out 6, values clipped 3; " in notes[0]
    assert notes[0].endswith("bounds 1, 3")


def encoded(column, seen):
    return fit(Entities(np.array(list("abcde")), {"x": column}), np.array(seen, bool), ids=False)[1]["x"][:, 0]


@pytest.mark.parametrize(
    ("by", "expected"),
    [
        ("none", [0, 2, 4, 6, 100]),
        ("standard", (np.array([0, 2, 4, 6, 100]) - 3) / np.sqrt(5)),
        ("robust", (np.array([0, 2, 4, 6, 100]) - 3) / 3),  # quartiles 1.5, 3 and 4.5
    ],
)
def test_scales(by, expected, prepared):
    """Fitted on 0, 2, 4 and 6; the 100 has not been seen."""
    seen = [1, 1, 1, 1, 0]
    column, _ = prepared([0.0, 2.0, 4.0, 6.0, 100.0], seen, lambda data: standardise(data, by=by))
    np.testing.assert_allclose(encoded(column, seen), expected, rtol=1e-6)


def test_the_logarithm_keeps_the_sign_and_is_standardised(prepared):
    seen = [1, 1, 1, 1, 1]
    values = np.array([-np.e + 1, 0.0, np.e - 1, 0.0, 0.0])
    column, _ = prepared(values, seen, lambda data: standardise(data, by="log"))
    np.testing.assert_allclose(column.values, [-1, 0, 1, 0, 0], atol=1e-12)
    np.testing.assert_allclose(encoded(column, seen), np.array([-1, 0, 1, 0, 0]) / np.sqrt(2 / 5), atol=1e-6)


def test_words_that_too_few_of_meta_train_have_are_unknown(prepared):
    # "b" is had by two, of whom meta-train has one; "c" by none that it has.
    column, notes = prepared(
        ["a", "a", "b", "b", "c", ""], [1, 1, 1, 0, 0, 1], lambda data: vocabulary(data, least=2), kind="categorical"
    )
    assert column.values.tolist() == ["a", "a", "", "", "", ""]
    assert notes == [
        "vocabulary item.x: values in 5, values dropped 3, values out 2, words 2, words dropped 1; of the 4 that "
        "meta-train has: 1 words are had by 2 or more"
    ]


def test_words_of_many_are_counted_once_for_each_who_has_them(prepared):
    column, _ = prepared(
        [("a", "b"), ("a", "c"), ("c",), ()], [1, 1, 0, 1], lambda data: vocabulary(data, least=2), kind="multi"
    )
    assert column.values.tolist() == [("a",), ("a",), (), ()]


def test_preparations_are_done_in_their_order(prepared):
    values, seen = [0.0, 1, 2, 3, 100], [1] * 5
    column, notes = prepared(
        values, seen, lambda data: clip(data, low=0, high=0.75), lambda data: bucket(data, buckets=2),
        lambda data: vocabulary(data, least=3),
    )  # fmt: skip
    assert column.values.tolist() == ["", "", "1", "1", "1"]
    assert [note.partition(" item")[0] for note in notes] == ["clip", "bucket", "vocabulary"]


def test_where_meta_train_has_no_value_nothing_is_fitted(prepared):
    for step in (clip, standardise, lambda data: standardise(data, by="robust")):
        column, _ = prepared([NAN, 5.0], [1, 0], step)
        np.testing.assert_array_equal(column.values, [NAN, 5.0])
    assert prepared([NAN, 5.0], [1, 0], lambda data: bucket(data, buckets=2))[0].values.tolist() == ["", "0"]


@pytest.mark.parametrize("task", ["user", "item"])
def test_a_preparation_stays_with_its_column_where_the_item_is_the_task(task, data, cut):
    made = cut(bucket(data, buckets=4, features=("item.year",)), task=task)
    fields = {field.name: field for field in (made.spec.context if task == "item" else made.spec.row)}
    assert (fields["year"].kind, fields["year"].size) == ("categorical", 5)
    assert made.split.notes[0].startswith("bucket item.year: ")
    assert {field.name: field.kind for field in (*made.spec.context, *made.spec.row)}["age"] == "numeric"


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (lambda data: bucket(data, buckets=2, features=("item.genre",)), "features=item.genre: it is multi, and this "),
        (lambda data: clip(data, features=("year",)), "features=year: no such feature; the features are: user.age "),
        (lambda data: clip(data, low=0.5, high=0.5), "low=0.5: must be below high=0.5"),
        (
            lambda data: standardise(bucket(data, buckets=2, features=("item.year",)), features=("item.year",)),
            "features=item.year: it is categorical, and this takes numeric features",
        ),
        (
            lambda data: clip(bucket(data, buckets=2)),
            r"it takes numeric features, and there is none; the features are: user.age \(categorical\), ",
        ),
    ],
)
def test_refuses(step, said, data):
    with pytest.raises(UserError, match=f"^{said}"):
        step(data)
