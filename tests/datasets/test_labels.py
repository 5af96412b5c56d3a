"""Labels: none, words, empty ones, a decimal comma, and marks for no label."""

import numpy as np
import pytest

from recmeta.cleaning.rules import label_range as rule
from recmeta.datasets.labels import marks
from recmeta.datasets.table import table
from recmeta.types import UserError


@pytest.fixture
def read(tmp_path):
    """``read(labels, **settings)``: the data set with these labels, a row each."""

    def read(labels, **settings):
        path = tmp_path / "rows.csv"
        path.write_text("user;item;label\n" + "".join(f"u;i{n};{label}\n" for n, label in enumerate(labels)))
        return table(interactions=path, **settings)

    return read


def test_likes_only(read, tmp_path):
    (tmp_path / "likes.csv").write_text("user,item\na,x\na,y\n")
    with pytest.raises(UserError, match=r"no column 'label' .*; where every row is a like, dataset.columns.label=null"):
        table(interactions=tmp_path / "likes.csv")
    data = table(interactions=tmp_path / "likes.csv", columns={"label": None})
    assert (data.label.tolist(), data.label_range) == ([1, 1], (0, 1))
    assert data.notes[0] == "no label is read: every row is a like, of label 1 in 0 to 1"
    with pytest.raises(UserError, match=r"every label is 3; set .*, such as \[0, 3\], .* dataset.columns.label=null"):
        read([3, 3])
    with pytest.raises(UserError, match=r"every label is 0; set .*, such as \[0, 1\]"):
        read([0, 0])


@pytest.mark.parametrize(
    "words", [("True", "False"), ("true", "false"), ("YES", "no"), (" True ", "FALSE"), ("t", "f"), ("Y", "N")]
)
def test_words_for_yes_and_no(read, words):
    data = read([words[0], words[1], words[0]])
    assert data.label.tolist() == [1, 0, 1]
    assert any(note.startswith("labels are read as numbers: ") for note in data.notes)
    with pytest.raises(UserError, match=r"line 2, column 'label': .* is not a finite number"):
        read([words[0], 1])


@pytest.mark.parametrize("empty", ["", " ", "NA", "NaN", "nan", "NULL", "<NA>", "-", "?"])
def test_empty_labels(read, empty):
    with pytest.raises(UserError, match=r"line 3, column 'label': .* is no label; .*dataset.unlabelled=drop leaves"):
        read([1, empty, 5])
    data = read([1, empty, 5, empty], unlabelled="drop")
    assert data.label.tolist() == [1, 5]
    assert (data.counts["rows"], data.counts["unlabelled"], data.counts["interactions"]) == (4, 2, 2)
    assert "2 of 4 rows have no label and are dropped" in data.notes


def test_a_decimal_comma(read):
    with pytest.raises(UserError, match=r"line 2, column 'label': '4,5' .*, or set dataset.decimal=comma"):
        read(["4,5", "3"])
    assert read(["4,5", "3"], decimal="comma").label.tolist() == [4.5, 3]
    with pytest.raises(UserError, match=r"line 3, column 'label': '4.5' is not a finite number; .*comma"):
        read(["4,5", "4.5"], decimal="comma")


def test_an_infinite_label_has_no_decimal_mark(read):
    for decimal in ("point", "comma"):
        with pytest.raises(UserError, match=r"line 2, column 'label': 'inf' is not a finite number; a label must be$"):
            read(["inf", "3"], decimal=decimal)


def test_marks_outside_the_range_point_to_cleaning(read):
    with pytest.raises(
        UserError, match=r"line 2, column 'label': '-1' is outside dataset.label_range, 1 to 5; .*"
    ) as caught:
        read([-1, 1, 5, -1], label_range=[1, 5])
    assert "'cleaning.steps=[{step: label_range, low: 1, high: 5}]' (2 lines are so)" in str(caught.value)
    assert rule(read([-1, 1, 5]), low=1, high=5).label.tolist() == [1, 5]


@pytest.mark.parametrize(
    ("labels", "found"),
    [
        ([1, 2, 3, 4, 5], []),
        ([-1, 1, 2, 3, 4, 5], [(-1, 1)]),
        ([0, 0, 0, 1, 2, 3, 4], [(0, 3)]),
        ([0, 1, 2, 3, 4, 5], []),
        ([99, -9.5, -3.2, 0.1, 2.2, 9.9], [(99, 1)]),
        ([0, 1], []),
    ],
)
def test_marks(labels, found):
    assert marks(np.array(labels, float)) == found


def test_an_extreme_label_that_leaves_few_likes_is_noted(read):
    said = "only 1 of 200 rows are liked: set dataset.like, or dataset.label_range"
    assert said in read([*range(1, 200), 573.4]).notes
    assert said not in read([*range(1, 201)]).notes
