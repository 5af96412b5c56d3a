"""JSON lines and Parquet."""

import json

import polars as pl
import pytest

from recmeta.datasets.sheet import read_sheet
from recmeta.types import UserError
from tests.datasets.test_sheet import sheet

ROWS = [{"user": 1, "item": "01", "label": 4.5}, {"user": 2, "item": "02", "label": 3, "tags": ["a", "b"]}]


@pytest.mark.parametrize("name", ["data.jsonl", "data.ndjson", "data.json"])
def test_json_lines(tmp_path, name):
    read = sheet(tmp_path, "\n".join(map(json.dumps, ROWS)) + "\n", name)
    assert read.frame.rows() == [("1", "01", "4.5", None), ("2", "02", "3", ["a", "b"])]


def test_a_list_of_objects(tmp_path):
    assert sheet(tmp_path, json.dumps(ROWS), "data.json").frame["user"].to_list() == ["1", "2"]


def test_large_numbers_keep_their_digits(tmp_path):
    read = sheet(tmp_path, '{"u":1.5,"v":1}\n{"u":9007199254740993,"v":18446744073709551615}\n', "data.jsonl")
    assert read.frame.row(1) == ("9007199254740993", "18446744073709551615")


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('{"user": 2', "line 3: not a JSON object"),
        ("[1]", "line 3: .*must be an object"),
        ('{"u": NaN}', "line 3: .*NaN"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, said):
    with pytest.raises(UserError, match=f"data.jsonl, {said}") as caught:
        sheet(tmp_path, f'{{"user": 1}}\n\n{line}\n', "data.jsonl")
    assert "\n" not in str(caught.value)


def test_what_has_no_text_is_refused_only_where_it_is_asked_for(tmp_path):
    pl.DataFrame({"user": ["a"], "extra": [{"x": 1}]}).write_parquet(tmp_path / "data.parquet")
    read = read_sheet(tmp_path / "data.parquet")
    assert read.column("user", "").to_list() == ["a"]
    with pytest.raises(UserError, match=r"column 'extra' \(wanted\): Struct.* cannot be read"):
        read.column("extra", "wanted")


def test_times_with_zones_in_parquet(tmp_path):
    at = pl.Series(["1970-01-01T02:00:05"]).str.to_datetime(time_unit="ns").dt.replace_time_zone("Europe/Paris")
    pl.DataFrame({"t": at}).write_parquet(tmp_path / "data.parquet")
    assert read_sheet(tmp_path / "data.parquet").frame["t"].to_list() == ["3605"]
