import numpy as np
import pytest

from recmeta.datasets.lastfm import lastfm_2k
from recmeta.types import UserError

FILES = {
    "user_artists.dat": "userID\tartistID\tweight\r\n2\t51\t10000\r\n2\t52\t1\r\n10\t51\t316\r\n",
    "artists.dat": 'id\tname\turl\tpictureURL\r\n51\tDuran "Duran"\thttp://a\thttp://b\r\n',
    "tags.dat": "tagID\ttagValue\r\n1\tmétal\r\n2\t80s\r\n",
    "user_taggedartists.dat": "userID\tartistID\ttagID\tday\tmonth\tyear\r\n2\t51\t1\t1\t4\t2009\r\n"
    "10\t51\t1\t1\t4\t2009\r\n10\t51\t1\t2\t5\t2010\r\n10\t51\t2\t1\t4\t2009\r\n",
}


@pytest.fixture
def path(pack):
    return pack({name: text.encode("latin-1") for name, text in FILES.items()})


def test_labels_are_logarithms_of_plays(path):
    data = lastfm_2k(path=path)
    assert data.users.ids.tolist() == ["10", "2"]
    np.testing.assert_allclose(data.label, np.log10([316, 10000, 1]), rtol=1e-6)
    assert (data.label_range, data.like, data.time) == ((0, 6), 2.5, None)


def test_or_every_label_is_one(path):
    data = lastfm_2k(path=path, label="one")
    assert (data.label.tolist(), data.label_range, data.like) == ([1, 1, 1], (0, 1), 1)
    assert "every label is 1: a protocol must draw negatives (artists not listened to)" in data.notes


@pytest.mark.parametrize(
    ("tag_users", "tags"),
    [(1, [("80s", "métal"), ()]), (2, [("métal",), ()])],
    ids=["any tag", "a tag that two users gave"],
)
def test_a_tag_counts_once_for_each_user_who_gave_it(path, tag_users, tags):
    assert lastfm_2k(path=path, tag_users=tag_users).items.features["tags"].values.tolist() == tags


def test_no_plays_are_refused(pack):
    path = pack({**FILES, "user_artists.dat": FILES["user_artists.dat"].replace("316", "0")})
    with pytest.raises(UserError, match=r"user_artists.dat: a weight is not from 1 to 1,000,000 plays"):
        lastfm_2k(path=path)
