"""Threads of fits: how many BLAS has, what becomes of results and failures."""

import time

import pytest
from threadpoolctl import threadpool_info

from recmeta.fitted.threads import one_thread, side_by_side, workers


def blas():
    return {library["num_threads"] for library in threadpool_info() if library["user_api"] == "blas"}


def test_inside_blas_has_one_thread_and_afterwards_what_it_had():
    before = blas()
    with one_thread():
        assert blas() == {1}
    assert blas() == before
    assert side_by_side(lambda _: blas(), range(2)) == [{1}, {1}]
    assert blas() == before


def test_results_are_in_the_order_of_the_values():
    assert side_by_side(lambda wait: time.sleep(wait) or wait, [0.02, 0.0, 0.01]) == [0.02, 0.0, 0.01]


def test_what_fails_is_raised_and_what_has_not_begun_is_not_begun():
    begun = []

    def fail():
        with workers() as pool:
            waiting = [pool.submit(lambda: begun.append(0) or time.sleep(0.01)) for _ in range(500)]
            waiting[0].result()
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fail()
    assert len(begun) < 500
