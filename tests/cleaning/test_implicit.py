from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from recmeta.cleaning import binarise, negatives
from recmeta.types import UserError


def test_each_like_gets_items_that_its_user_has_not_had(tiny, shown):
    data = negatives(tiny("a1 a2 a3 b1 b4", [1, 0, 1, 1, 1], like=1), per_positive=1, pool="all")
    # a has one item left, and two likes; b has two, and two likes.
    assert shown(data) == "a1 a2 a3 a4 b1 b2 b3 b4"
    assert data.label.tolist() == [1, 0, 1, 0, 1, 0, 0, 1]
    assert data.counts["positives"] == 4
    assert data.counts["negatives that could not be drawn"] == 1


def test_a_drawn_row_has_the_time_of_its_like_and_an_item_known_by_then(tiny, table):
    # At time 10 items 1 and 2 are known, at 20 item 3 as well; 4 comes last.
    data = negatives(tiny("a1 b2 a3 c4", time=[10, 10, 20, 30]), per_positive=1, pool="by_then")
    drawn = [row for row in table(data) if row[2] == 0]
    assert [row for row in drawn if row[0] == "a"] == [("a", "2", 0, 10)]  # at 20 there is nothing left for a
    assert [row for row in drawn if row[0] == "b"] == [("b", "1", 0, 10)]
    assert [(user, time) for user, item, _, time in drawn if user == "c" and item in "123"] == [("c", 30)]
    assert data.counts["negatives that could not be drawn"] == 1


@pytest.fixture(params=["by_then", "all"])
def drawn(request, data):
    """The small data set as implicit feedback, and with two negatives for each like."""
    liked = binarise(data, below="drop")
    return liked, lambda given=liked, **settings: negatives(given, per_positive=2, pool=request.param, **settings)


def test_pairs_stay_unique_and_rows_in_their_order(drawn):
    liked, draw = drawn
    made = draw()
    assert len(set(zip(made.user.tolist(), made.item.tolist(), strict=True))) == len(made.user)
    by = np.lexsort([made.item, made.time, made.user])
    assert by.tolist() == list(range(len(by)))
    asked = 2 * len(liked.user)
    assert (made.label == 0).sum() == asked - made.counts["negatives that could not be drawn"]
    assert set(made.label.tolist()) == {0, 1}


def test_what_is_drawn_does_not_depend_on_the_order_of_rows(drawn, table, shuffled):
    liked, draw = drawn
    assert table(draw(shuffled(liked))) == table(draw())


def test_the_seed_decides(drawn, table):
    _, draw = drawn
    assert table(draw(seed=1)) == table(draw(seed=1))
    assert table(draw(seed=1)) != table(draw(seed=0))


def test_what_is_drawn_for_a_user_does_not_depend_on_anothers_later_rows(tiny, table):
    before = tiny("a1 a2 b3 b4 c5", time=[5, 6, 1, 2, 3])
    after = tiny("a1 a2 b3 b4 c5 c6 c7", time=[5, 6, 1, 2, 3, 7, 8])
    of_a = [[row for row in table(negatives(data, per_positive=1)) if row[0] == "a"] for data in (before, after)]
    assert of_a[0] == of_a[1]


def test_draws_are_even(tiny):
    """20 users who like item A alone, at 500 seeds: each of the four other items is drawn a quarter of the times."""
    data = tiny(" ".join(f"{chr(97 + u)}A" for u in range(20)) + " zB zC zD zE")
    times = Counter()
    for seed in range(500):
        made = negatives(data, per_positive=1, pool="all", seed=seed)
        one = made.label == 0
        others = one & (made.users.ids[made.user] != "z")
        times.update(made.items.ids[made.item[others]].tolist())
    # Binomial(10 000, 1/4) has a standard deviation of 43.
    assert all(abs(times[item] - 2500) < 200 for item in "BCDE")
    assert sum(times.values()) == 10_000


@pytest.mark.parametrize(
    ("settings", "pool", "said"),
    [
        ({"label_range": (0.5, 5)}, "all", "a drawn row has label 0.* labels begin at 0.5 .*: put binarise before it"),
        ({"like": 0}, "all", "a drawn row has label 0.* are liked from 0 on"),
        ({}, "by_then", "pool=by_then: tiny has no times; set pool=all"),
    ],
)
def test_refuses(settings, pool, said, tiny):
    with pytest.raises(UserError, match=f"^{said}"):
        negatives(replace(tiny("a1 a2"), **settings), per_positive=1, pool=pool)
