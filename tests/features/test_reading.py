"""Columns of files, as declared and as inferred, through `dataset=table`."""

import numpy as np
import polars as pl
import pytest

from recmeta.datasets.table import table
from recmeta.types import UserError

NAN = np.nan


@pytest.fixture
def read(tmp_path):
    """``read(items, **declared)``: the item features, and the notes, of a CSV text or a polars frame."""

    def read(items, ids="abc", **declared):
        (tmp_path / "rows.csv").write_text("user,item,label\n" + "".join(f"u,{i},{n}\n" for n, i in enumerate(ids)))
        path = None
        if isinstance(items, str):
            path = tmp_path / "items.csv"
            path.write_text(items)
        elif items is not None:
            path = tmp_path / "items.parquet"
            items.write_parquet(path)
        data = table(interactions=tmp_path / "rows.csv", items=path, item_features=declared)
        found = {name: (column.kind, column.values.tolist()) for name, column in data.items.features.items()}
        return found, data.notes

    return read


@pytest.mark.parametrize("dtype", [pl.List(pl.Float32), pl.Array(pl.Float32, 2), pl.List(pl.Float64)])
def test_lists_of_floats_are_vectors(read, dtype):
    frame = pl.DataFrame({"item": ["a", "b", "c"], "emb": pl.Series([[1.0, 2.0], None, [0.5, 0.0]], dtype=dtype)})
    found, notes = read(frame)
    kind, values = found["emb"]
    assert kind == "vector"
    np.testing.assert_array_equal(values, [[1, 2], [NAN, NAN], [0.5, 0]])
    assert "item features inferred from items.parquet: emb vector" in notes


def test_lists_of_whole_numbers_are_codes_unless_declared(read):
    frame = pl.DataFrame({"item": ["a", "b", "c"], "codes": [[12, 3], [3, 4], [12, 9]]})
    assert read(frame)[0]["codes"] == ("multi", [("12", "3"), ("3", "4"), ("12", "9")])
    found, _ = read(frame, codes={"kind": "vector"})
    assert found["codes"] == ("vector", [[12, 3], [3, 4], [12, 9]])


def test_lists_of_numbers_in_text(read):
    found, _ = read('item,emb\na,"[0.1, 0.2]"\nb,\nc,[1e1 -2]\n')
    assert found["emb"][0] == "vector"
    np.testing.assert_array_equal(found["emb"][1], [[0.1, 0.2], [NAN, NAN], [10, -2]])
    found, _ = read("item,emb\na,0.1;0.2\nb,\nc,3;4\n", emb={"kind": "vector", "separator": ";"})
    np.testing.assert_array_equal(found["emb"][1], [[0.1, 0.2], [NAN, NAN], [3, 4]])


@pytest.mark.parametrize(("separator", "shown"), [(" ", " "), ("  ", " "), (";", ";"), (", ", ","), ("|", "|")])
def test_numbers_in_text_without_brackets_are_a_vector_where_each_row_has_as_many(read, separator, shown):
    rows = [["0.5", "1", "2"], ["3", "4", "-1e0"]]
    a, c = (f'"{separator.join(row)}"' for row in rows)
    found, notes = read(f"item,emb\na,{a}\nb,\nc,{c}\n")
    np.testing.assert_array_equal(found["emb"][1], [[0.5, 1, 2], [NAN] * 3, [3, 4, -1]])
    assert (
        f"item feature emb: separator {shown!r}, as its values look (or declare dataset.item_features.emb.separator)"
        in notes
    )


@pytest.mark.parametrize("cell", ["{row}; 0.5", "{row}|x", "{row}"])
def test_other_text_with_numbers_is_no_vector(read, cell):
    found, _ = read("item,emb\n" + "".join(f"{i},{cell.format(row='1.5 ' * n)}\n" for n, i in enumerate("abc", 1)))
    assert found.get("emb", ("none",))[0] != "vector"


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (
            "a,[0.1 0.2]\nb,[0.1]\nc,\n",
            r"items.csv, line 3, column 'emb': '\[0.1\]' has another length than the first, 2",
        ),
        ("a,[0.1 0.2]\nb,\nc,[0.1 nan]\n", r"items.csv, line 4, column 'emb': '\[0.1 nan\]' is not all finite numbers"),
        ("a,[0.1 0.2]\nb,\nc,[0.1 x]\n", "line 4, column 'emb': .* is not all finite numbers"),
        ("a,[0.1 inf]\nb,\nc,\n", "line 2, column 'emb': .* is not all finite numbers"),
        (
            "a,0.1:0.2\nb,\nc,\n",
            r"line 2, column 'emb': '0.1:0.2' is no list; write \[0.1, 0.2\], or declare dataset.it",
        ),
        ("a,\nb,\nc,\n", "dataset.item_features.emb: no row has a vector"),
    ],
)
def test_refuses_vectors_that_are_none(read, rows, said):
    with pytest.raises(UserError, match=said) as caught:
        read("item,emb\n" + rows, emb={"kind": "vector"})
    assert "\n" not in str(caught.value)


def test_refuses_ragged_lists_of_parquet_by_their_row(read):
    frame = pl.DataFrame({"item": ["a", "b", "c"], "emb": [[1.0, 2.0], [1.0], None]})
    with pytest.raises(UserError, match=r"items.parquet, row 2, column 'emb': .* has another length than the first, 2"):
        read(frame)


def test_a_matrix_with_a_file_of_ids(read, tmp_path):
    """Rows are found by id, in any order; an id that the file of features lacks is added to it."""
    np.save(tmp_path / "emb.npy", np.array([[1, 2], [NAN, NAN], [5, 6]], np.float32))
    (tmp_path / "ids.txt").write_text("b\na\nz\n")
    own = {"kind": "vector", "file": str(tmp_path / "emb.npy"), "ids": str(tmp_path / "ids.txt")}
    found, _ = read(None, emb=own)
    np.testing.assert_array_equal(found["emb"][1], [[NAN, NAN], [1, 2], [NAN, NAN]])
    found, _ = read("item,year\na,1990\n", emb=own, year={"kind": "numeric"})
    np.testing.assert_array_equal(found["emb"][1], [[NAN, NAN], [1, 2], [NAN, NAN]])
    np.testing.assert_array_equal(found["year"][1], [1990, NAN, NAN])


@pytest.mark.parametrize(
    ("matrix", "ids", "said"),
    [
        ([[1, 2], [3, 4]], "a\nb\nc\n", r"ids.txt: 3 ids, but .*emb.npy has 2 rows; make them equal"),
        ([[1, 2], [3, 4]], "a\na\n", r"ids.txt, line 2: 'a' occurs a second time"),
        ([[1, 2], [3, 4]], "a\n\n", r"ids.txt, line 2: '' is no id"),
        ([[1, 2], [NAN, 4]], "a\nb\n", r"emb.npy, row 2: is not all finite numbers"),
        ([1, 2], "a\nb\n", r"emb.npy: must hold a matrix of numbers, a row per id"),
        (None, "a\n", r"emb.npy: no such file; a relative path starts at"),
    ],
)
def test_refuses_matrices_that_do_not_fit(read, tmp_path, matrix, ids, said):
    if matrix is not None:
        np.save(tmp_path / "emb.npy", np.array(matrix, np.float64))
    (tmp_path / "ids.txt").write_text(ids)
    with pytest.raises(UserError, match=said):
        read(None, emb={"kind": "vector", "file": str(tmp_path / "emb.npy"), "ids": str(tmp_path / "ids.txt")})


def test_text_is_kept_as_it_stands_and_never_inferred(read):
    rows = 'item,title\na,"Heat, and dust "\nb,\nc,Heat\n'
    assert read(rows, title={"kind": "text"})[0]["title"] == ("text", ["Heat, and dust ", "", "Heat"])
    assert read(rows.replace("b,", "b,Dust"))[0] == {}


def test_codes_with_leading_zeros_are_no_numbers(read):
    found, _ = read("item,zip,size\na,00123,0\nb,01123,0.5\nc,00123,-0.5\n")
    assert found == {"zip": ("categorical", ["00123", "01123", "00123"]), "size": ("numeric", [0, 0.5, -0.5])}
    assert read("item,zip\na,007\nb,1\nc,2\n", zip={"kind": "numeric"})[0]["zip"][1] == [7, 1, 2]


def test_what_stands_for_no_value_is_missing_and_noted(read):
    rows = "item,genre,year\na,g1,1990\nb,NA,N/A\nc,g1,1992\n"
    found, notes = read(rows)
    assert found["genre"] == ("categorical", ["g1", "", "g1"])
    np.testing.assert_array_equal(found["year"][1], [1990, NAN, 1992])
    assert (
        "item feature genre: 1 cells of 3 are read as missing: NA (or declare dataset.item_features.genre.missing)"
        in notes
    )
    found, notes = read(rows, genre={"kind": "categorical", "missing": ["g1"]})
    assert found["genre"][1] == ["", "NA", ""]


def test_lists_of_words_in_text(read):
    rows = """item,genres\na,"['Action', 'Dra''ma']"\nb,[]\nc,"[""War"", 3]"\n"""
    assert read(rows)[0]["genres"] == ("multi", [("Action", "Drama"), (), ("3", "War")])
    with pytest.raises(
        UserError, match=r"items.csv, line 2, column 'genres': .* is no list; write \['a', 'b'\], or de"
    ):
        read('item,genres\na,"[Action, Drama]"\n', genres={"kind": "multi"})


@pytest.mark.parametrize("name", ["__index_level_0__", "Unnamed: 0", ""])
def test_row_numbers_of_a_data_frame_are_no_feature(read, name):
    found, notes = read(f"{name},item,job\n0,a,x\n1,b,y\n2,c,x\n")
    assert list(found) == ["job"]
    assert f"{name or 'column 1'} left out (a data frame's row numbers)" in " ".join(notes)


def test_refuses_features_of_other_ids(read):
    with pytest.raises(
        UserError, match=r"none of the 3 items of the feature table has an interaction; there ids are as '1"
    ):
        read("item,job\n1.0,x\n2.0,y\n3.0,x\n", ids="123")


@pytest.mark.parametrize(
    ("cells", "words", "said"),
    [
        (
            ["Action, Drama", "Drama", "Action,Drama,War"],
            [("Action", "Drama"), ("Drama",), ("Action", "Drama", "War")],
            ",",
        ),
        (["a; b", "b", "a;b;b"], [("a", "b"), ("b",), ("a", "b")], ";"),
        (["a/b", "b", "a"], [("a", "b"), ("b",), ("a",)], "/"),
    ],
)
def test_the_separator_of_words_is_inferred_where_they_repeat(read, cells, words, said):
    table_ = "item,genres\n" + "".join(f'{item},"{cell}"\n' for item, cell in zip("abc", cells, strict=True))
    found, notes = read(table_)
    assert found["genres"] == ("multi", words)
    assert any(
        note.startswith(f"item feature genres: separator {said!r}, as its values look (or declare") for note in notes
    )
    if said != "/":
        assert read(table_, genres={"kind": "multi"})[0]["genres"] == ("multi", words)


@pytest.mark.parametrize(
    "cells",
    [
        ["Paris, France", "Lyon, France", "Paris, France"],  # always two: parts of one value
        ["Good, the Bad, and the Ugly, The", "Good, the Bad, and the Ugly, The", "Heat"],
        ["4,5", "4,5", "3"],  # numbers with a decimal comma
    ],
)
def test_commas_within_one_value_are_no_separator(read, cells):
    found, _ = read("item,x\n" + "".join(f'{item},"{cell}"\n' for item, cell in zip("abc", cells, strict=True)))
    assert found["x"] == ("categorical", cells)


@pytest.mark.parametrize("mark", ["-", "?", "unknown", "N/A", "<NA>", "."])
def test_one_mark_among_numbers_makes_no_words_of_them(read, mark):
    found, notes = read(f"item,year\na,1990\nb,{mark}\nc,1992\n")
    assert found["year"][0] == "numeric"
    np.testing.assert_array_equal(found["year"][1], [1990, NAN, 1992])
    assert any(f"1 cells of 3 are read as missing: {mark}" in note for note in notes)
    if mark == "-":
        assert read(f"item,job\na,cook\nb,{mark}\nc,cook\n")[0]["job"] == ("categorical", ["cook", mark, "cook"])


def test_a_decimal_comma_in_features(tmp_path):
    (tmp_path / "rows.csv").write_text("user;item;label\nu;a;1,5\nu;b;2\n")
    (tmp_path / "items.csv").write_text('item;size;tags\na;1,5;"x,y"\nb;-2;x\n')
    settings = {"interactions": tmp_path / "rows.csv", "items": tmp_path / "items.csv", "decimal": "comma"}
    data = table(**settings)
    assert (data.items.features["size"].kind, data.items.features["size"].values.tolist()) == ("numeric", [1.5, -2])
    declared = table(**settings, item_features={"size": {"kind": "numeric"}, "tags": {"kind": "categorical"}})
    assert declared.items.features["tags"].values.tolist() == ["x,y", "x"]
    with pytest.raises(UserError, match=r"items.csv, line 2, column 'tags': 'x,y' is not a number; .*tags.missing, or"):
        table(**settings, item_features={"tags": {"kind": "numeric"}})


def test_structures_are_left_out(read):
    found, notes = read(pl.DataFrame({"item": ["a", "b", "c"], "x": [{"y": 1}] * 3, "job": ["u", "u", "v"]}))
    assert list(found) == ["job"]
    assert "item features inferred from items.parquet: x left out (Struct), job categorical" in notes


def test_several_columns_that_are_not_there_are_told_at_once(read):
    both = {"year": {"kind": "numeric"}, "job": {"kind": "categorical"}}
    with pytest.raises(
        UserError, match=r"no columns 'year' \(dataset.item_features.year\), 'job' \(dataset.item_f.*are it"
    ):
        read("item,x\na,1\nb,2\nc,2\n", **both)


def test_blanks_around_a_word_are_no_part_of_it(read):
    found, _ = read("item, job, plot\na, cook, x\nb,cook ,y \nc,cook,z\n")
    assert found["job"] == ("categorical", ["cook", "cook", "cook"])
    assert read("item,plot\na, x\nb,y \n", plot={"kind": "text"})[0]["plot"] == ("text", [" x", "y ", ""])


@pytest.mark.parametrize(
    ("two", "one"),
    [
        ("['War', 'Drama']", "['War']"), ('["War", "Drama"]', '["War", null]'), ("('War', 'Drama')", "('War',)"),
        ("{'War', 'Drama'}", "{'War'}"), ("{War,Drama}", "{War}"), ("['War' 'Drama']", "['War']"),
        ("['War'\n 'Drama']", "['War']"), ("War & Drama", "War"), ("War^Drama", "War"), ("War/Drama", "War"),
        ("[{'id': 3, 'name': 'War'}, {'id': 4, 'name': 'Drama'}]", "[{'id': 3, 'name': 'War'}]"),
    ],
)  # fmt: skip
def test_words_in_every_usual_writing(read, two, one):
    cells = {"a": two, "b": one, "c": two}
    quoted = (f'{i},"{cell.replace(chr(34), chr(34) * 2)}"\n' for i, cell in cells.items())
    found, _ = read("item,genres\n" + "".join(quoted))
    assert found["genres"] == ("multi", [("Drama", "War"), ("War",), ("Drama", "War")])


def test_a_data_frames_row_numbers_are_no_feature(read):
    names = ("Unnamed: 0", "Unnamed: 0.1", "index", "level_0", "__index_level_0__")
    rows = "".join(f"{i},{','.join([str(n)] * len(names))},{n}\n" for n, i in enumerate("abc"))
    found, _ = read(f"item,{','.join(names)},rank\n{rows}")
    assert set(found) == {"rank"}
    assert set(read("item,index\na,3\nb,1\nc,2\n")[0]) == {"index"}  # numbers the rows of nothing


@pytest.mark.parametrize(
    ("cells", "said"),
    [
        (["$1.99", "$2.50", "$30"], "numbers written as '$1.99': write plain numbers"),
        (["1,234", "12,345", "999"], "numbers written as '1,234': write plain numbers"),
        (["5%", "6%", "7%"], "numbers written as '5%': write plain numbers"),
        (["1,5", "2,5", "3,5"], "numbers written as '1,5': write plain numbers, or set dataset.decimal=comma"),
        (["1990-05-01", "1991/5/2", "1992-01-01"], "dates: write the year, or another number"),
        (["a man who was not there", "a tale of two towns", "how it all began then"], "text: declare its kind to use"),
        (["tt01", "tt02", "tt03"], "an identifier"),
    ],
)
def test_a_column_that_is_left_out_is_said_to_be_what_it_looks_like(read, cells, said):
    found, notes = read("item,x\n" + "".join(f'{i},"{cell}"\n' for i, cell in zip("abc", cells, strict=True)))
    assert found == {}
    assert any(f"x left out ({said}" in note for note in notes), notes


def test_categories_that_look_like_numbers_are_noted(read):
    _, notes = read("item,price\na,$1.99\nb,$1.99\nc,$2.99\n")
    assert (
        "item feature price: each value is taken for a category (numbers written as '$1.99': write plain numbers)"
        in notes
    )
    ids = "abcdefghijkl"
    _, notes = read("item,year\n" + "".join(f"{i},{'c. 1990' if i == 'd' else 1990}\n" for i in ids), ids=ids)
    said = "11 of 12 cells are numbers, and 'c. 1990' is none: correct it"
    assert f"item feature year: each value is taken for a category ({said})" in notes
    assert not any("taken for a category" in note for note in read("item,job\na,x\nb,x\nc,y\n")[1])


def test_words_with_weights(read):
    found, _ = read("item,tags\na,war:0.5|drama:2\nb,\nc,drama:1e-1\n", tags={"kind": "weighted"})
    assert found["tags"] == ("weighted", [(("drama", 2.0), ("war", 0.5)), (), (("drama", 0.1),)])


@pytest.mark.parametrize(
    ("cell", "said"),
    [
        ("war", "has a word without a weight"),
        ("war:0.5,drama:2", "has several weights in one word"),
        ("war:1|war:2", "has a word twice"),
        ("war:1e999", "has a weight without bounds"),
    ],
)
def test_refuses_weights_that_are_none(read, cell, said):
    with pytest.raises(UserError, match=said):
        read(f'item,tags\na,"{cell}"\nb,drama:1|war:2\n', tags={"kind": "weighted"})
