import numpy as np
import pytest

from recmeta.datasets.jester import jester
from recmeta.types import UserError

RATINGS = "1\t\t5\t\t0.219\n1\t\t7\t\t-9.281\n2\t\t5\t\t9.969\n"


def test_ratings_are_continuous(pack):
    data = jester(path=pack({"jester_ratings.dat": RATINGS, "jester_items.dat": "1:\n<p>A joke</p>\n"}))
    np.testing.assert_allclose(data.label, [0.219, -9.281, 9.969], rtol=1e-6)
    assert (data.label_range, data.like, data.time) == ((-10, 10), 5, None)
    assert data.items.features == data.users.features == {}


def test_the_mark_of_the_older_sets_for_no_rating_is_refused(pack):
    with pytest.raises(UserError, match=r"1 rows of jester .* outside -10 to 10, the first: user 2, item 8, label 99"):
        jester(path=pack({"jester_ratings.dat": RATINGS + "2\t\t8\t\t99\n"}))
