import numpy as np
import pytest

from recmeta.datasets.books import book_crossing, douban_book, goodbooks

# As published: Latin-1, quotes around values, quotes inside them behind a backslash, CRLF here and there.
CROSSING = {
    "BX-Book-Ratings.csv": '"User-ID";"ISBN";"Book-Rating"\r\n"276725";"034545104X";"0"\r\n'
    '"276726";"0155061224";"5"\r\n"276726";"3442353866";"10"\r\n"8";"B0000X;\\"Y";"7"\r\n',
    "BX-Users.csv": '"User-ID";"Location";"Age"\n"276726";"nyc, new york, usa";NULL\n'
    '"8";"montréal; \\"qc\\", canada";"18"\n'
    '"276725";"nowhere, ";"239"\n',
    "BX-Books.csv": '"ISBN";"Book-Title";"Book-Author";"Year-Of-Publication";"Publisher";"Image-URL-S"\n'
    '"0155061224";"Rites of Passage; a \\"Reader\\" &amp; more";"Judith Rae";"2001";"Heinle";"http://a/1";"http://a/2"\n'
    '"3442353866";"Der Fluch";"BARBARA WOOD";"0";"Goldmann";"http://a/3";"http://a/4"\n'
    '"B0000X;\\"Y";"DK Readers (Level 4)\\";Michael Teitelbaum";"2000";"DK";"http://a/5";"http://a/6";"http://a/7"\n',
}
GOOD = {
    "ratings.csv": "user_id,book_id,rating\n1,258,5\n2,4081,4\n2,258,3\n",
    "books.csv": "book_id,goodreads_book_id,authors,original_publication_year,title,language_code\n"
    '258,3,"J.K. Rowling, Mary GrandPré",1997.0,"A Stone (1, #1)",eng\n4081,4,Homer,-750.0,Odyssey,\n',
    "samples/ratings.csv": "user_id,book_id,rating\n1,1,1\n",
}
DOUBAN = {
    "user_book.dat": "1\t1\t4\n1\t2\t3\n2\t1\t5\n",
    "user_location.dat": "1\t7\n",
    "user_group.dat": "1\t30\n1\t4\n2\t30\n",
    "book_author.dat": "1\t10\n1\t11\n",
    "book_publisher.dat": "2\t5\n",
    "book_year.dat": "1\t21\n2\t9\n",
    "user_user.dat": "1\t2\t1\n",
}


@pytest.fixture
def crossing(pack):
    return pack({name: text.encode("latin-1") for name, text in CROSSING.items()})


def test_book_crossing_leaves_out_and_counts_what_was_not_rated(crossing):
    data = book_crossing(path=crossing)
    assert data.users.ids.tolist() == ["276726", "8"]
    assert data.items.ids.tolist() == ["0155061224", "3442353866", 'B0000X;\\"Y']
    assert (data.label.tolist(), data.label_range, data.time) == ([5, 10, 7], (1, 10), None)
    assert (data.counts["rows"], data.counts["implicit"], data.counts["interactions"]) == (4, 1, 3)
    assert data.notes[0] == "1 ratings of 0 say that none was given: left out"


def test_book_crossing_keeps_them_if_asked(crossing):
    data = book_crossing(path=crossing, explicit=False)
    assert (data.label.tolist(), data.label_range) == ([0, 5, 10, 7], (0, 10))
    assert "implicit" not in data.counts


def test_book_crossing_takes_no_unlikely_age_or_year_and_no_shifted_columns(crossing):
    data = book_crossing(path=crossing, explicit=False)
    users, items = data.users.features, data.items.features
    assert data.users.ids.tolist() == ["276725", "276726", "8"]
    np.testing.assert_array_equal(users["age"].values, [np.nan, np.nan, 18])
    assert users["country"].values.tolist() == ["", "usa", "canada"]
    np.testing.assert_array_equal(items["year"].values, [2001, np.nan, np.nan, np.nan])
    assert items["author"].values.tolist() == ["Judith Rae", "", "BARBARA WOOD", ""]
    assert items["publisher"].values.tolist() == ["Heinle", "", "Goldmann", ""]
    assert data.counts["items_without_features"] == 2


def test_goodbooks_reads_the_whole_beside_its_samples(pack):
    data = goodbooks(path=pack(GOOD))
    assert (data.label.tolist(), data.time) == ([5, 3, 4], None)
    assert data.items.ids.tolist() == ["258", "4081"]
    assert {name: column.values.tolist() for name, column in data.items.features.items()} == {
        "authors": [("J.K. Rowling", "Mary GrandPré"), ("Homer",)],
        "language": ["eng", ""],
        "title": ["A Stone (1, #1)", "Odyssey"],
        "year": [1997, -750],
    }


def test_douban_book_is_read_beside_the_other_sets_of_its_archive(pack):
    members = {f"HIN-master/Douban Book/{name}": text for name, text in DOUBAN.items()}
    data = douban_book(path=pack({**members, "HIN-master/A/user_book.dat": "9\t9\t9\n"}))
    assert (data.label.tolist(), data.time) == ([4, 3, 5], None)
    assert {name: column.values.tolist() for name, column in data.users.features.items()} == {
        "group": [("30", "4"), ("30",)],
        "location": [("7",), ()],
    }
    assert {name: column.values.tolist() for name, column in data.items.features.items()} == {
        "author": [("10", "11"), ()],
        "publisher": [(), ("5",)],
        "year": [("21",), ("9",)],
    }


def test_a_file_of_features_that_douban_book_lacks_is_noted(pack):
    data = douban_book(path=pack({name: text for name, text in DOUBAN.items() if name != "user_group.dat"}))
    assert list(data.users.features) == ["location"]
    assert "there is no user_group.dat: users have no group" in data.notes
