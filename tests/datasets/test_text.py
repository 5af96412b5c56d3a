import io

import polars as pl
import pytest

from recmeta.datasets import text
from recmeta.datasets.text import read_columns, read_json_lines, read_lines, shared, split_known, without_year, year_in
from recmeta.types import UserError


@pytest.mark.parametrize(
    ("content", "options"),
    [
        (b"1::Caf\xe9: a story::4\n", {"separator": "::", "encoding": "latin-1"}),
        ("1\tCafé: a story\t4\r\n".encode(), {}),
        ('1,"Café: a story",4'.encode(), {"separator": ",", "quote": '"'}),
    ],
)
def test_columns_of_text(content, options):
    assert read_columns(content, ["id", "title", "label"], **options).row(0) == ("1", "Café: a story", "4")


def test_an_empty_value_is_null_and_a_header_gives_the_names():
    frame = read_columns(b"a\tb\n1\t\n")
    assert frame.to_dicts() == [{"a": "1", "b": None}]


def test_another_number_of_columns_is_refused():
    with pytest.raises(UserError, match="3 columns where user, item should be"):
        read_columns(b"1\t2\t3\n", ["user", "item"])


def test_lines():
    assert read_lines(b"a\r\n\nb\n").to_list() == ["a", "b"]


def test_json_lines_are_the_same_whatever_the_blocks(monkeypatch):
    content = b"".join(b'{"stars": %d, "text": "\xc3\xa9\\n", "user": "u%d"}\n' % (n, n) for n in range(50))
    schema = {"user": pl.String, "stars": pl.Float64}
    whole = read_json_lines(io.BytesIO(content), schema)
    assert whole.rows()[:2] == [("u0", 0.0), ("u1", 1.0)]
    monkeypatch.setattr(text, "BLOCK", 70)
    assert read_json_lines(io.BytesIO(content), schema).equals(whole)
    assert read_json_lines(io.BytesIO(content.rstrip()), schema).equals(whole)
    assert read_json_lines(io.BytesIO(b""), schema).is_empty()


@pytest.mark.parametrize(
    ("title", "year"),
    [
        ("Toy Story (1995)", 1995),
        ("Blade Runner 2049 (Director's cut) (2017)", 2017),
        ("City of Lost Children, The (Cité, La) (1995)", 1995),
        ("Time of the Great Giving (1995) (V)", 1995),
        ("A series (2006\N{EN DASH}2007)", 2006),
        ("A series (2006-)", 2006),
        ("1984", None),
        ("(500) Days of Summer", None),
    ],
)
def test_the_year_in_a_title(title, year):
    assert pl.select(year_in(pl.lit(title))).item() == year


def test_a_value_that_says_there_is_none_is_left_out():
    assert pl.select(split_known(pl.lit("war|unknown|drama"), "|", "unknown")).item().to_list() == ["war", "drama"]


def test_values_that_few_share_are_left_out():
    pairs = pl.DataFrame({"id": ["a", "a", "b", "b", "c"], "tag": ["x", "x", "x", "y", "z"]})
    assert shared(pairs, "id", "tag", 2).to_dicts() == [{"id": "a", "tag": ["x"]}, {"id": "b", "tag": ["x"]}]


@pytest.mark.parametrize(
    ("title", "bare"),
    [
        ("Toy Story (1995)", "Toy Story"),
        ("Time of the Great Giving (1995) (V)", "Time of the Great Giving"),
        ("A Series (1976-1979)", "A Series"),
        ("Seven (Se7en) (1995)", "Seven (Se7en)"),
        ("2001: A Space Odyssey", "2001: A Space Odyssey"),
        ("Class of (1999) returns", "Class of (1999) returns"),
        ("Unfinished (199)", "Unfinished (199)"),
    ],
)
def test_titles_lose_their_year(title, bare):
    assert pl.Series([title]).to_frame("title").select(without_year(pl.col("title"))).item() == bare
