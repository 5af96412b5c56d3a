import gzip
import io
import tarfile

import pytest

from recmeta.datasets.reviews import amazon_reviews, yelp
from recmeta.types import UserError

# The same three reviews in the four formats that the Amazon reviews come in; one user wrote twice of one item.
STARS_2018 = (
    "B000000001,A2000000000,5.0,1425600000\nB000000001,A1000000000,4.0,1425600000\n"
    "B000000002,A1000000000,1.0,1425600001\nB000000002,A1000000000,2.0,1425600002\n"
)
STARS_2023 = (
    "user_id,parent_asin,rating,timestamp\n"
    "A2000000000,B000000001,5.0,1425600000123\nA1000000000,B000000001,4.0,1425600000999\n"
    "A1000000000,B000000002,1.0,1425600001000\nA1000000000,B000000002,2.0,1425600002000\n"
)
REVIEWS_2018 = "\n".join(
    f'{{"overall": {stars}, "verified": true, "reviewTime": "03 6, 2015", "reviewerID": "{user}", "asin": "{item}", '
    f'"style": {{"Size:": " 1"}}, "reviewText": "5 \\"stars\\" {{", "unixReviewTime": {time}}}'
    for item, user, stars, time in (line.split(",") for line in STARS_2018.splitlines())
)
REVIEWS_2023 = "\n".join(
    f'{{"rating": {stars}, "title": "Nice", "text": "ok", "images": [], "asin": "C9", "parent_asin": "{item}", '
    f'"user_id": "{user}", "timestamp": {time}, "helpful_vote": 0, "verified_purchase": true}}'
    for user, item, stars, time in (line.split(",") for line in STARS_2023.splitlines()[1:])
)
META_2018 = (
    '{"category": ["Beauty", "Skin"], "brand": "Loud", "title": "Loud soap", "asin": "B000000001", '
    '"main_cat": "All Beauty"}\n'
    '{"category": [], "asin": "B000000003", "rank": "2,938,573 in Beauty"}\n'
)
META_2023 = (
    '{"main_category": "All Beauty", "title": "A", "average_rating": 4.8, "rating_number": 10, "price": null, '
    '"store": "Loud", "categories": ["Beauty", "Skin"], "details": {"a": "b"}, "parent_asin": "B000000001"}\n'
    '{"main_category": null, "title": "B", "store": null, "categories": [], "parent_asin": "B000000003"}\n'
)

YELP = {
    "yelp_academic_dataset_review.json": '{"review_id":"r1","user_id":"u1","business_id":"b1","stars":3.0,"useful":0,'
    '"text":"If \\"you\\" decide\\n","date":"2018-07-07 22:09:11"}\n{"review_id":"r2","user_id":"u2",'
    '"business_id":"b1","stars":5.0,"text":"","date":"2012-01-03 15:28:18"}\n',
    "yelp_academic_dataset_business.json": '{"business_id":"b1","name":"A","city":"Santa Barbara","state":"CA",'
    '"stars":5.0,"review_count":7,"is_open":0,"attributes":{"Wifi":"no"},"categories":"Doctors, Health & Medical"}\n'
    '{"business_id":"b2","name":"B","city":"Affton","state":"MO","categories":null}\n',
}


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("Beauty.csv", STARS_2018),
        ("Beauty.csv.gz", STARS_2023),
        ("Beauty_5.json.gz", REVIEWS_2018),
        ("Beauty.jsonl.gz", REVIEWS_2023),
        ("Beauty.jsonl", REVIEWS_2023),
    ],
)
def test_amazon_reviews_in_each_format(tmp_path, name, content):
    path = tmp_path / name
    path.write_bytes(gzip.compress(content.encode()) if name.endswith(".gz") else content.encode())
    data = amazon_reviews(path=path)
    assert data.users.ids.tolist() == ["A1000000000", "A2000000000"]
    assert data.items.ids.tolist() == ["B000000001", "B000000002"]
    assert (data.user.tolist(), data.item.tolist(), data.label.tolist()) == ([0, 0, 1], [0, 1, 0], [4, 2, 5])
    assert data.time is not None
    assert data.time.tolist() == [1425600000, 1425600002, 1425600000]
    assert data.counts["duplicates"] == 1


@pytest.mark.parametrize(("content", "title"), [(META_2018, "Loud soap"), (META_2023, "A")])
def test_amazon_metadata_of_each_edition(tmp_path, content, title):
    (tmp_path / "stars.csv").write_text(STARS_2018)
    (tmp_path / "meta.json.gz").write_bytes(gzip.compress(content.encode()))
    data = amazon_reviews(path=tmp_path / "stars.csv", items=tmp_path / "meta.json.gz")
    assert {name: column.values.tolist() for name, column in data.items.features.items()} == {
        "brand": ["Loud", ""],
        "categories": [("Beauty", "Skin"), ()],
        "main_category": ["All Beauty", ""],
        "title": [title, ""],
    }
    assert (data.counts["items_without_features"], data.counts["item_rows_without_interactions"]) == (1, 1)


STARS_2014 = "".join(
    ",".join([user, item, *rest]) + "\n" for item, user, *rest in (line.split(",") for line in STARS_2018.splitlines())
)


def test_stars_without_a_header_are_told_by_the_shapes_of_ids(tmp_path):
    """In 2014 the user comes first, in 2018 the item."""
    found = {}
    for edition, text in (("2014", STARS_2014), ("2018", STARS_2018)):
        (tmp_path / f"ratings_{edition}.csv").write_text(text)
        data = amazon_reviews(path=tmp_path / f"ratings_{edition}.csv")
        assert f"taken for stars of {edition}" in data.notes[0]
        found[edition] = data.sha256
    assert found["2014"] == found["2018"]


@pytest.mark.parametrize("first", ["1234567890", "A123", "A1000000000"])
def test_stars_whose_ids_do_not_tell_are_refused(tmp_path, first):
    (tmp_path / "stars.csv").write_text(f"{first},A1000000000,5.0,1425600000\n" * 3)
    if first == "1234567890":  # a book, and a user
        assert amazon_reviews(path=tmp_path / "stars.csv").items.ids.tolist() == [first]
        return
    with pytest.raises(UserError, match=r"stars.csv, stars.csv: no header, and the ids do not say which column"):
        amazon_reviews(path=tmp_path / "stars.csv")


def test_a_review_without_its_user_is_refused(tmp_path):
    (tmp_path / "reviews.jsonl").write_text('{"rating": 5, "parent_asin": "B000000001", "timestamp": 1425600000123}\n')
    with pytest.raises(UserError, match=r"1 rows of amazon_reviews lack .*the first: user None, item B000000001"):
        amazon_reviews(path=tmp_path / "reviews.jsonl")


def test_a_cut_off_file_is_refused(tmp_path):
    whole = gzip.compress(REVIEWS_2023.encode())
    (tmp_path / "reviews.jsonl.gz").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=r"reviews.jsonl.gz: the file is cut off or damaged"):
        amazon_reviews(path=tmp_path / "reviews.jsonl.gz")


def test_several_files_are_refused(pack):
    with pytest.raises(UserError, match="must be one file of reviews, and holds 2"):
        amazon_reviews(path=pack({"a.csv": STARS_2018, "b.csv": STARS_2018}))


def test_yelp_from_its_tar_and_from_a_folder(tmp_path):
    folder = tmp_path / "yelp"
    folder.mkdir()
    with tarfile.open(tmp_path / "yelp_dataset.tar", "w") as archive:
        for name, text in YELP.items():
            (folder / name).write_text(text)
            info = tarfile.TarInfo(name)
            info.size = len(text.encode())
            archive.addfile(info, io.BytesIO(text.encode()))
    data = yelp(path=tmp_path / "yelp_dataset.tar")
    assert data.sha256 == yelp(path=folder).sha256
    assert data.label.tolist() == [3, 5]
    assert data.time is not None
    assert data.time.tolist() == [1531001351, 1325604498]
    assert {name: column.values.tolist() for name, column in data.items.features.items()} == {
        "categories": [("Doctors", "Health & Medical")],
        "city": ["Santa Barbara"],
        "state": ["CA"],
    }
