import datetime

import polars as pl
import pytest

from recmeta.datasets.layout import checked_layout, with_header
from recmeta.datasets.sheet import read_sheet
from recmeta.types import UserError


def layout(separator=None, quote=None, header=None, encoding=None):
    return with_header(checked_layout(separator, quote, encoding, "point"), header, "dataset.header")


def sheet(tmp_path, content, name="data.csv", **options):
    path = tmp_path / name
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return read_sheet(path, layout(**options))


@pytest.mark.parametrize(
    ("content", "name", "options"),
    [
        ("a,b\n1,x\n2,\n", "data.csv", {}),
        ("a,b\r\n1,x\r\n2,\r\n", "data.csv", {}),
        ("\ufeffa,b\n1,x\n2,", "data.CSV", {}),
        ("a\tb\n1\tx\n2\t\n", "data.tsv", {}),
        ("a;b\n1;x\n2;\n", "data.dat", {"separator": ";"}),
        ('"a","b"\n"1","x"\n2,\n', "data.csv", {}),
    ],
)
def test_reads_text(tmp_path, content, name, options):
    read = sheet(tmp_path, content, name, **options)
    assert read.frame.columns == ["a", "b"]
    assert read.frame["a"].to_list() == ["1", "2"]
    assert read.column("b", "").to_list() == ["x", None]
    assert read.lines.tolist() == [2, 3]


def test_blank_lines_and_quoted_line_ends_keep_the_line_numbers(tmp_path):
    assert sheet(tmp_path, "a,b\n1,x\n\n2,y\n").lines.tolist() == [2, 4]
    quoted = sheet(tmp_path, 'a,b\n1,"x,\n""z"""\n\n2,y\n')
    assert quoted.lines.tolist() == [2, 5]
    assert quoted.frame["b"].to_list() == ['x,\n"z"', "y"]


def test_reads_parquet_as_text(tmp_path):
    frame = pl.DataFrame(
        {
            "id": [7.0, None],
            "label": [0.5, 4.1],
            "genres": [["a", "b"], []],
            "time": [datetime.datetime(1970, 1, 2), datetime.datetime(1970, 1, 1, 0, 0, 5)],
            "new": [True, False],
        },
        schema_overrides={"label": pl.Float32},
    )
    frame.write_parquet(tmp_path / "data.parquet")
    read = read_sheet(tmp_path / "data.parquet")
    assert read.frame.row(0) == ("7", "0.5", ["a", "b"], "86400", "true")
    assert read.frame.row(1) == (None, "4.1", [], "5", "false")
    assert (read.unit, read.lines.tolist()) == ("row", [1, 2])


@pytest.mark.parametrize(
    ("content", "name", "options", "message"),
    [
        ("a,b\n1,x\n2\n", "data.csv", {}, r"data.csv, line 3: 1 values, but the header names 2 columns"),
        ("a,b\n1,x\n\n2,y,z\n", "data.csv", {}, r"data.csv, line 4: 3 values"),
        ('a,b\n1,"x\ny"\n2\n', "data.csv", {}, r"data.csv, line 4: 1 values"),
        ('a,b\n1,"x\n2,y\n', "data.csv", {}, r"data.csv, line 2: a quote is opened and never closed; check it, or set"),
        (b"a,b\n1,x\n2,\xe9\n", "data.csv", {}, r"data.csv, line 3: not UTF-8"),
        ("a,b,a\n1,2,3\n", "data.csv", {}, r"data.csv, line 1: column 'a' occurs twice"),
        ("a||b||c\n1||2||3\n", "data.txt", {}, r"line 1: column '' occurs twice; .* dataset.separator, such as '\|\|'"),
        ("# 2020\na,b\n1,x\n", "data.csv", {}, "line 2: 2 values, .* names 1 columns; take line 1 out if it is no he"),
        ("# user item\n1 2\n", "data.txt", {}, r"data.txt, line 1: is a comment \('# user item'\); take such lines"),
        ("<!DOCTYPE html>\n<html>\n", "data.csv", {}, "data.csv: a web page, not a table; fetch the file itself"),
        ("version https://git-lfs.github.com/spec/v1\noid 1\n", "data.csv", {}, "data.csv: a Git LFS pointer"),
        ("", "data.csv", {}, "the file is empty"),
        ("a,b\n", "data.csv", {}, "the file is empty"),
        ("a,b\n1,x\n", "data.xls", {}, "data.xls: a spreadsheet; save it as CSV"),
        ("ab\n1x\n", "data.dat", {}, "data.dat: no separator fits its first lines; set dataset.separator, such as"),
        ("a,b\n1,x\n", "data.csv", {"separator": ""}, "dataset.separator='': give one or more characters"),
        ("a,b\n1,x\n", "data.csv", {"quote": "''"}, "dataset.quote='': give one character, or false"),
        ("a,b\n1,x\n", "data.csv", {"encoding": "utf-9"}, "dataset.encoding=utf-9: unknown; give utf-8,"),
        ("a,b\n1,x\n", "data.csv", {"header": ["a", "a"]}, r"dataset.header=\['a', 'a'\]: give each column a name"),
        ("a,b\n1,x\n", "data.csv", {"header": ["a", "b"]}, "data.csv, line 1: is a header; leave dataset.header out"),
        (b"a,b\n1,\0\n", "data.csv", {}, "data.csv, line 2: not text; save it as CSV in UTF-8"),
        ("no parquet", "data.parquet", {}, "not a readable Parquet file"),
    ],
)
def test_refuses(tmp_path, content, name, options, message):
    with pytest.raises(UserError, match=message) as caught:
        sheet(tmp_path, content, name, **options)
    assert "\n" not in str(caught.value)


def test_refuses_a_missing_file_and_an_empty_or_odd_parquet(tmp_path):
    with pytest.raises(UserError, match="no such file; a relative path starts at"):
        read_sheet(tmp_path / "missing.csv")
    pl.DataFrame({"a": []}).write_parquet(tmp_path / "empty.parquet")
    with pytest.raises(UserError, match="the file is empty"):
        read_sheet(tmp_path / "empty.parquet")
    pl.DataFrame({"a": [b"bytes"]}).write_parquet(tmp_path / "odd.parquet")
    with pytest.raises(UserError, match=r"column 'a' \(wanted\): Binary cannot be read"):
        read_sheet(tmp_path / "odd.parquet").column("a", "wanted")


def test_expands_the_home_directory(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))
    (tmp_path / "data.csv").write_text("a\n1\n")
    assert read_sheet(type(tmp_path)("~/data.csv")).frame["a"].to_list() == ["1"]


@pytest.mark.parametrize(
    ("there", "said"),
    [
        ("user,item", r"where every row is a like, dataset.columns.label=null$"),
        ("user-->item-->label", r"if they are in it, set dataset.separator, such as '::', tab or blanks$"),
        ("User ID,item,label", r"; perhaps 'dataset.columns.user=User ID'$"),
        ("a,b,c", r"there are a, b, c$"),
    ],
)
def test_why_a_column_may_not_be_there(tmp_path, there, said):
    wanted = {f"dataset.columns.{role}": role for role in ("user", "item", "label")}
    with pytest.raises(UserError, match=said):
        sheet(tmp_path, f"{there}\n{','.join('1' * (there.count(',') + 1))}\n", "data.csv").need(wanted)


def test_a_first_line_that_excel_writes_names_the_separator(tmp_path):
    assert sheet(tmp_path, "sep=;\na;b\n1;2,5\n", "data.csv").frame.to_dicts() == [{"a": "1", "b": "2,5"}]
