"""Separators of any length, inferred or set; files without a header."""

import pytest

from recmeta.datasets.separated import CANDIDATES
from recmeta.types import UserError
from tests.datasets.test_sheet import sheet

NOTE = "{} is separated by {}: inferred from its first lines"


@pytest.mark.parametrize("name", ["data.txt", "data.dat", "ratings", "data.csv"])
@pytest.mark.parametrize(
    ("separator", "word"),
    [(",", "comma"), (";", "semicolon"), ("\t", "tab"), ("|", "pipe"), ("::", "'::'"), ("   ", "blanks")],
)
def test_separators_are_inferred_and_said(tmp_path, name, separator, word):
    text = "user,item,label\n1,01,5\n2,02,4\n".replace(",", separator)
    if name == "data.csv" and word == "blanks":
        with pytest.raises(UserError, match=r"no column 'user'"):
            sheet(tmp_path, text, name).column("user", "dataset.columns.user")
        return
    read = sheet(tmp_path, text, name)
    assert read.frame.to_dict(as_series=False) == {"user": ["1", "2"], "item": ["01", "02"], "label": ["5", "4"]}
    assert read.notes == ([] if name.endswith("csv") and separator == "," else [NOTE.format(name, word)])


@pytest.mark.parametrize(
    ("text", "separator"),
    [
        ("a||b\n1||x\n", "||"),
        ("a, b\n1, x\n", ", "),
        ("a \t b\n 1 x\n", "blanks"),
        ("a\tb\n1\tx\n", "tab"),
        ("a\tb\n1\tx\n", "\\t"),
        ("a;b\n1;x\n", "semicolon"),
    ],
)
def test_separators_are_set(tmp_path, text, separator):
    read = sheet(tmp_path, text, "data.csv", separator=separator)
    assert read.frame.to_dicts() == [{"a": "1", "b": "x"}]
    assert read.notes == []


def test_blanks_after_a_separator_are_not_part_of_names(tmp_path):
    assert sheet(tmp_path, "user, item ,label\n1, 2, 3\n").frame.to_dicts() == [
        {"user": "1", "item": " 2", "label": " 3"}
    ]


def test_a_file_without_a_header(tmp_path):
    read = sheet(tmp_path, "1::23::5\n\n1::40::4\n", "ratings.dat", header=["user", "item", "label"])
    assert read.frame.rows() == [("1", "23", "5"), ("1", "40", "4")]
    assert read.lines.tolist() == [1, 3]
    with pytest.raises(
        UserError, match=r"no column 'user' \(x\); there are 1, 23, 5; if line 1 is a row, name the columns"
    ):
        sheet(tmp_path, "1,23,5\n1,40,4\n").column("user", "x")
    with pytest.raises(UserError, match=r"line 1: 3 values, but the header names 2 columns"):
        sheet(tmp_path, "1,23,5\n1,40,4\n", header=["user", "item"])


def test_a_row_of_empty_values_is_a_row_where_tabs_separate(tmp_path):
    assert sheet(tmp_path, "a\tb\n1\t2\n\t\n", "data.tsv").frame.rows() == [("1", "2"), ("", "")]


def test_line_ends_of_all_systems(tmp_path):
    for end in ("\n", "\r\n", "\r"):
        assert sheet(tmp_path, f"a,b{end}1,x{end}2,y{end}").frame.rows() == [("1", "x"), ("2", "y")]


def test_the_rarest_separator_is_tried_last():
    assert CANDIDATES[-1] == "blanks"


def test_a_control_character_that_a_long_separator_needs_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"line 2: holds the control character 1F"):
        sheet(tmp_path, "a::b\n1::x\x1fy\n", "data.dat", separator="::")
