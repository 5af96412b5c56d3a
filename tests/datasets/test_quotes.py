"""Quotes that are in order, quotes within values, and quotes that would swallow lines."""

import polars as pl
import pytest

from recmeta.datasets.quotes import Quoting, resolve
from recmeta.datasets.sheet import read_sheet
from recmeta.types import UserError
from tests.datasets.test_sheet import layout, sheet

ROWS = "".join(f"{n},title {n},{n % 5}\n" for n in range(2, 9))


@pytest.mark.parametrize(
    ("cell", "value", "noted"),
    [
        ('"Odd, Al"', "Odd, Al", False),
        ('"Odd ""Al"""', 'Odd "Al"', False),
        (' "Odd, Al" ', "Odd, Al", False),
        ('7" single', '7" single', False),
        ('"Odd Al" Example', '"Odd Al" Example', True),
        ('"Odd, the "Al" Example"', 'Odd, the "Al" Example', True),
        (r'"Odd \"Al, Example\""', 'Odd "Al, Example"', True),
        ('""', "", False),
        ('"', None, False),
        ('"Odd, Al', None, False),
        ('"Odd" Al, Example', None, False),
    ],
)
def test_quotes_within_a_line(tmp_path, cell, value, noted):
    text = f"item,title,year\n1,{cell},5\n{ROWS}"
    if value is None:
        with pytest.raises(UserError, match=r"data.csv, line 2: .*dataset.quote=false$"):
            sheet(tmp_path, text)
        return
    read = sheet(tmp_path, text)
    assert read.frame.row(0) == ("1", value, "5")
    assert read.frame.height == 8
    assert read.notes == (["data.csv: 1 rows (the first in line 2) hold quotes within a value, which are kept"] * noted)


def test_a_quote_that_a_later_line_closes_swallows_no_rows(tmp_path):
    text = f'item,title,year\n1,"Weird Al,5\n{ROWS}9,Yankovic",3\n'
    with pytest.raises(UserError, match=r"data.csv, line 2: a quote is opened .*; set dataset.quote=false"):
        sheet(tmp_path, text)
    with pytest.raises(UserError, match=r"data.csv, line 2: a quote is opened"):
        sheet(tmp_path, text, quote='"')
    read = sheet(tmp_path, text, quote=False)
    assert read.frame.height == 9
    assert read.frame["title"].to_list()[::8] == ['"Weird Al', 'Yankovic"']


def test_the_rows_that_a_quote_would_swallow_are_counted(tmp_path):
    with pytest.raises(
        UserError, match=r"line 2: .*closed in line 10, and 7 of the lines between are rows of their own"
    ):
        sheet(tmp_path, f'item,title,year\n1,"Weird Al,5\n{ROWS}9,Yankovic",3\n')
    with pytest.raises(UserError, match=r"line 2: .*closed in line 3, and both lines are rows of their own"):
        sheet(tmp_path, f'item,title,year\n1,"Weird Al,5\n9,Yankovic",3\n{ROWS}')


def test_a_stray_quote_is_kept_where_no_later_one_closes_it(tmp_path):
    """The next quote is within a value, so the first opens nothing."""
    read = sheet(tmp_path, f'item,title,year\n1,"Weird Al,5\n{ROWS}9,say "hi",3\n')
    assert read.frame.height == 9
    assert read.frame["title"].to_list()[::8] == ['"Weird Al', 'say "hi"']
    odd = sheet(tmp_path, f'item,title,year\n1,"Weird Al,5\n{ROWS}9,"",3\n10,"x",2\n11,"y",\n')
    assert odd.frame["title"].to_list()[8:] == ["", "x", "y"]
    assert "hold quotes within a value" in read.notes[0]


def test_values_that_span_lines_are_read_and_counted(tmp_path):
    story = "Once, upon a time\n\nthere was, and is"
    read = sheet(tmp_path, f'item,title,year\n1,"{story}",5\n{ROWS}9,"{story}",4\n')
    assert read.frame["title"].to_list()[::8] == [story, story]
    assert read.lines.tolist() == [2, *range(5, 13)]
    assert read.notes == ["data.csv: values of 2 rows (the first in line 2) span lines, between quotes"]


def test_text_between_quotes_that_looks_like_no_row_is_text(tmp_path):
    """A line of as many values as a row has, but words where numbers stand, belongs to the text."""
    read = sheet(tmp_path, f'item,title,year\n1,"One\nof those, you know, days\nagain",5\n{ROWS}')
    assert read.frame["title"][0] == "One\nof those, you know, days\nagain"


def test_tabs_have_quotes_only_where_the_header_has(tmp_path):
    plain = sheet(tmp_path, 'item\ttitle\n1\t"Weird Al\n2\tB"\n', "data.tsv")
    assert plain.frame["title"].to_list() == ['"Weird Al', 'B"']
    assert sheet(tmp_path, '"item"\t"title"\n"1"\t"a\tb"\n', "data.tsv").frame.row(0) == ("1", "a\tb")
    assert sheet(tmp_path, 'item\ttitle\n1\t"a\tb"\n', "data.tsv", quote='"').frame.row(0) == ("1", "a\tb")


def test_other_quotes_and_other_separators(tmp_path):
    assert sheet(tmp_path, "item,title\n1,'a, b'\n", quote="'").frame.row(0) == ("1", "a, b")
    assert sheet(tmp_path, 'item::title\n1::"a::b"\n', "data.dat").frame.row(0) == ("1", "a::b")
    assert sheet(tmp_path, 'item  title\n1   "New York"\n2  x\n', "d.txt", separator="blanks").frame.rows() == [
        ("1", "New York"),
        ("2", "x"),
    ]


def test_a_header_may_be_quoted(tmp_path):
    assert sheet(tmp_path, '"item", "title, year"\n1,x\n').frame.columns == ["item", "title, year"]


def test_resolve_stops_at_the_first_reading_that_fits(tmp_path):
    quoting = Quoting(tmp_path, ",", '"')
    assert resolve(quoting, pl.Series(['a,"b","c']), 0, None).fields == ["a", '"b"', '"c']
    assert resolve(quoting, ['"a,b",c'], 0, 2).fields == ["a,b", "c"]
    assert resolve(quoting, ['"a,b",c'], 0, None).fields == ["a,b", "c"]
    assert resolve(quoting._replace(quote=None), ['"a,b",c'], 0, 3).fields == ['"a', 'b"', "c"]


def test_slices_join(tmp_path, monkeypatch):
    """Values that span lines do so over the slices that a file is split in, too."""
    from recmeta.datasets import separated

    text = 'item,title\n1,"a\nb"\n2,c\n"3",d\n4,"e\n\nf"\n5,g\n'
    path = tmp_path / "data.csv"
    path.write_text(text)
    whole = read_sheet(path, layout())
    monkeypatch.setattr(separated, "SLICE", 2)
    pieces = read_sheet(path, layout())
    assert pieces.frame.equals(whole.frame)
    assert pieces.lines.tolist() == whole.lines.tolist() == [2, 4, 5, 6, 9]


def test_many_columns(tmp_path):
    header = ",".join(f'"c{n}"' for n in range(70))
    rows = [",".join([f'"a{row}, b"', *map(str, range(69))]) for row in range(3)]
    read = sheet(tmp_path, "\n".join([header, *rows]))
    assert read.frame.shape == (3, 70)
    assert read.frame.row(2) == ("a2, b", *map(str, range(69)))
    assert read.notes == []
