"""Ids are alike in all files, whatever stands around them."""

import pytest

from recmeta.datasets.table import table
from recmeta.types import UserError


@pytest.fixture
def read(tmp_path):
    def read(rows, items=None, **settings):
        (tmp_path / "rows.csv").write_text("user,item,label\n" + rows)
        if items is not None:
            (tmp_path / "items.csv").write_text("item,job\n" + items)
        return table(
            interactions=tmp_path / "rows.csv", items=None if items is None else tmp_path / "items.csv", **settings
        )

    return read


def test_blanks_around_an_id_are_no_part_of_it(read):
    data = read("1,a,1\n1 ,b,2\n 1,a ,3\n\u00a01,c,3\n", "a ,x\nb,y\n c,x\n")
    assert data.users.ids.tolist() == ["1"]
    assert data.items.ids.tolist() == ["a", "b", "c"]
    assert data.items.features["job"].values.tolist() == ["x", "y", "x"]
    assert any(
        "column 'user': blanks around ids, or accents in two writings, are put in order in 3" in n for n in data.notes
    )
    with pytest.raises(UserError, match=r"items.csv, line 3, column 'item': 'a ' has a second row"):
        read("1,a,1\n1,b,2\n", "a,x\na ,y\n")
    with pytest.raises(UserError, match=r"rows.csv, line 2, column 'user': ' ' is no user"):
        read(" ,a,1\n")


def test_accents_in_two_writings_are_one(read):
    assert read("1,caf\u00e9,1\n2,cafe\u0301,2\n").items.ids.tolist() == ["caf\u00e9"]


def test_leading_zeros_and_capitals_stay(read):
    assert read("01,a,1\n1,A,2\n1.0,a,3\n").users.ids.tolist() == ["01", "1", "1.0"]


def test_words_for_a_missing_value_are_ids_and_noted(read):
    data = read("NA,a,1\n1,b,2\n")
    assert data.users.ids.tolist() == ["1", "NA"]
    assert any("1 rows have the user NA, which is taken for an id" in note for note in data.notes)


@pytest.mark.parametrize("id_", ["1.23E+17", "5E+17", "1.8446744073709552e19"])
def test_ids_that_have_lost_digits_are_refused(read, id_):
    with pytest.raises(UserError, match=r"rows.csv, line 3, column 'user': '.*' has lost digits"):
        read(f"1e5,a,1\n{id_},b,2\n")


@pytest.mark.parametrize(("one", "other"), [("U1", "u1"), ("'7'", "7"), ("07", "7"), ("7", "7.0")])
def test_ids_that_differ_in_little_are_two_and_noted(read, one, other):
    data = read(f"{one},a,1\n{other},b,2\nz,b,3\n")
    assert len(data.users.ids) == 3
    said = "2 ids differ from another in case, quotes, leading zeros or '.0' alone, as "
    assert any(said in note and repr(one) in note and repr(other) in note for note in data.notes)
    assert not any("differ" in note for note in read("1,a,1\n10,b,2\n100,b,3\n").notes)


def test_invisible_characters_are_no_part_of_an_id(read):
    assert read("u1\u200b,a,1\n\ufeffu1,b,2\nu1,c,3\n").users.ids.tolist() == ["u1"]
