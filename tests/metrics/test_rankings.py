"""Ranking metrics against ir-measures (trec_eval) and scikit-learn, over every order of what ties; and invariances."""

from itertools import chain, groupby, permutations, product
from math import comb

import ir_measures
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from ir_measures import AP, RR, P, R, Success, nDCG
from sklearn.metrics import ndcg_score, roc_auc_score

from recmeta.metrics import catalogue_view, metric, oracle, query_view, random_floor

NAMES = ("ndcg@3", "ndcg@20", "ndcg_linear@3", "recall@3", "precision@3", "hr@2", "map@3", "mrr", "mrr@2", "auc")
LIKE = 4
EXTERNAL = {
    "ndcg_linear@3": nDCG @ 3, "recall@3": R(rel=LIKE) @ 3, "precision@3": P(rel=LIKE) @ 3,
    "hr@2": Success(rel=LIKE) @ 2, "map@3": AP(rel=LIKE) @ 3, "mrr": RR(rel=LIKE), "mrr@2": RR(rel=LIKE) @ 2,
}  # fmt: skip
"""What ir-measures calls them; it gives gains of 2^label - 1 to no one, but takes them for labels."""
EXPONENTIAL = {"ndcg@3": nDCG @ 3, "ndcg@20": nDCG @ 20}


def orders(score):
    """Every order of the rows that the scores allow, best first."""
    ranked = sorted(range(len(score)), key=lambda row: -score[row])
    groups = [list(group) for _, group in groupby(ranked, key=lambda row: score[row])]
    return [list(chain(*parts)) for parts in product(*map(permutations, groups))]


def over_all_orders(score, label):
    """Each metric's mean over all orders, as ir-measures computes it for each; NaN labels are not judged."""
    all_orders = orders(score)
    run = {
        str(query): {f"row {row}": float(-rank) for rank, row in enumerate(order)}
        for query, order in enumerate(all_orders)
    }

    def means(measures, gain):
        judged = {f"row {row}": int(gain(label[row])) for row in range(len(label)) if not np.isnan(label[row])}
        return ir_measures.calc_aggregate(measures.values(), dict.fromkeys(run, judged), run)

    linear, exponential = means(EXTERNAL, lambda y: y), means(EXPONENTIAL, lambda y: 2**y - 1)
    found = {name: linear[measure] for name, measure in EXTERNAL.items()}
    return found | {name: exponential[measure] for name, measure in EXPONENTIAL.items()}


@jax.jit
def of_rows(score, label, mask):
    view = query_view(score, score, label, mask, like=LIKE)
    return {name: metric(name).of(view) for name in NAMES}


def of_query(score, label, width=10):
    """The rows ranked among themselves, padded with what must not matter to one width: compiled once."""
    empty = np.full(width - len(score), np.nan)
    score, label = (np.append(values, empty).astype(np.asarray(values).dtype) for values in (score, label))
    return of_rows(score, label, ~np.isnan(label))


@jax.jit
def of_catalogue(score, there, position, label, mask):
    view = catalogue_view(score, there, position, label, label, mask, like=LIKE)
    return {name: metric(name).of(view) for name in NAMES}


def ratings(rng, *shape):
    return rng.integers(1, 6, shape).astype(np.float32)


@pytest.mark.parametrize("levels", [1, 2, 4, 100])
@pytest.mark.parametrize("n", [3, 6])
def test_query_rows_against_ir_measures_over_all_orders(n, levels):
    rng = np.random.default_rng(n + levels)
    with jax.enable_x64(True):
        for _ in range(12):
            score, label = rng.integers(0, levels, n).astype(float), ratings(rng, n).astype(float)
            label[0] = 5
            found = of_query(score, label)
            for name, expected in over_all_orders(score, label).items():
                assert found[name] == pytest.approx(expected, abs=1e-9), name


@pytest.mark.parametrize("levels", [2, 4])
def test_catalogue_against_ir_measures_over_all_orders(levels):
    """Seven items: one is no candidate, three are judged, the others count as not liked."""
    rng = np.random.default_rng(levels)
    with jax.enable_x64(True):
        for _ in range(12):
            score, label = rng.integers(0, levels, 7).astype(float), np.append(5, ratings(rng, 2)).astype(float)
            known, *position = rng.permutation(7)[:4]
            everywhere = np.full(7, np.nan)
            everywhere[position] = label
            there = np.arange(7) != known
            found = of_catalogue(score, there, np.array([*position, 0]), np.append(label, 5), np.arange(4) < 3)
            for name, expected in over_all_orders(score[there], everywhere[there]).items():
                assert found[name] == pytest.approx(expected, abs=1e-9), name


@pytest.mark.parametrize("n", [2, 7, 30])
def test_auc_and_ndcg_against_scikit_learn(n):
    """It averages over ties by itself, so that these lists may be long."""
    rng = np.random.default_rng(n)
    with jax.enable_x64(True):
        for _ in range(40):
            score, label = rng.integers(0, 4, n).astype(float), ratings(rng, n).astype(float)
            label[:2] = 5, 1
            found = of_query(score, label, width=30)
            assert found["auc"] == pytest.approx(roc_auc_score(label >= LIKE, score), abs=1e-9)
            for name, gain, k in (
                ("ndcg@3", 2**label - 1, 3),
                ("ndcg@20", 2**label - 1, 20),
                ("ndcg_linear@3", label, 3),
            ):
                assert found[name] == pytest.approx(ndcg_score([gain], [score], k=k, ignore_ties=False), abs=1e-9)


def test_auc_of_a_catalogue_against_scikit_learn():
    rng = np.random.default_rng(0)
    with jax.enable_x64(True):
        for _ in range(20):
            score, position = rng.integers(0, 9, 50).astype(float), rng.permutation(50)[:6]
            label = np.append([5, 1], ratings(rng, 4)).astype(float)
            liked = np.zeros(50, bool)
            liked[position] = label >= LIKE
            found = of_catalogue(score, np.ones(50, bool), position, label, np.ones(6, bool))
            assert found["auc"] == pytest.approx(roc_auc_score(liked, score), abs=1e-9)


@pytest.mark.parametrize(("above", "tied", "hits"), [(0, 300, 1), (0, 300, 7), (40, 300, 3), (5, 8, 8), (299, 1, 1)])
def test_hit_rate_and_reciprocal_rank_in_long_ties(above, tied, hits):
    """One tie group with all that is liked, against binomial coefficients."""
    n = above + tied + 20
    score = np.concatenate([np.full(above, 2.0), np.ones(tied), np.zeros(20)])
    label = np.full(n, np.nan)
    label[above : above + hits] = 5
    first = [comb(tied - place - 1, hits - 1) / comb(tied, hits) for place in range(tied - hits + 1)]
    expected = sum(chance / (above + 1 + place) for place, chance in enumerate(first))
    with jax.enable_x64(True):
        position, mask = np.arange(above, above + hits), np.ones(hits, bool)
        view = catalogue_view(score, np.ones(n, bool), position, *np.full((2, hits), 5.0), mask, like=LIKE)
        assert metric("mrr").of(view) == pytest.approx(expected, abs=1e-12)
        for k in (1, above + 1, above + tied // 2, n):
            assert metric(f"hr@{k}").of(view) == pytest.approx(sum(first[: max(k - above, 0)]), abs=1e-12)
            cut = sum(chance / (above + 1 + place) for place, chance in enumerate(first[: max(k - above, 0)]))
            assert metric(f"mrr@{k}").of(view) == pytest.approx(cut, abs=1e-12)


@pytest.mark.parametrize("label", [[4, 1], [2, 5, 3], [5, 4, 1, 1], [1, 1, 2, 5, 4, 4]])
def test_constant_scorer_scores_the_mean_over_all_orders(label):
    for constant in (0, -7.5, np.inf, -np.inf):
        found = of_query(np.full(len(label), constant, np.float32), np.array(label, np.float32))
        for name, expected in over_all_orders(np.zeros(len(label)), label).items():
            assert found[name] == pytest.approx(expected, abs=1e-6)
        assert found["auc"] == 0.5


@pytest.mark.parametrize("name", NAMES)
def test_constant_scorer_is_exactly_the_random_floor(name):
    """To the last bit, where both are computed alike: that is, not fused with what differs."""
    score, label, mask = jnp.full(40, 3.0), jnp.array([5.0, 3, 4, 1]), jnp.array([True, True, True, False])
    rows = query_view(score[:4], label, label, mask, like=LIKE)
    items = catalogue_view(score, jnp.arange(40) % 5 > 0, jnp.array([1, 7, 9, 23]), label, label, mask, like=LIKE)
    for view in (rows, items):
        assert metric(name).of(view) == random_floor(metric(name), view)


def test_random_floor_of_a_catalogue():
    """Of 32 candidates, two are liked."""
    label, mask = jnp.array([5.0, 3, 4, 1]), jnp.ones(4, bool)
    there, position = jnp.arange(40) % 5 > 0, jnp.array([1, 7, 9, 23])
    view = catalogue_view(jnp.arange(40.0), there, position, label, label, mask, like=LIKE)
    floor = {name: random_floor(metric(name), view) for name in ("recall@3", "precision@3", "hr@2", "auc")}
    expected = {"recall@3": 3 / 32, "precision@3": 2 / 32, "hr@2": 1 - 30 / 32 * 29 / 31, "auc": 0.5}
    assert floor == pytest.approx(expected)


def test_oracle_is_the_best_order():
    """As ir-measures has it, with the labels themselves for scores; unjudged candidates are behind."""
    label, mask = np.array([5, 3, 4, 1, 4], np.float32), np.ones(5, bool)
    best = over_all_orders([5, 3, 4, 1, 4], label)
    view = query_view(-label, label, label, mask, like=LIKE)
    among = catalogue_view(jnp.arange(40.0), np.ones(40, bool), np.arange(5), label, label, mask, like=LIKE)
    for name, expected in best.items():
        assert oracle(metric(name), view) == pytest.approx(expected, abs=1e-6), name
        assert oracle(metric(name), among) == pytest.approx(expected, abs=1e-6), name
    assert oracle(metric("auc"), among) == 1
    assert oracle(metric("recall@1"), view) == pytest.approx(1 / 3)


# --- invariances --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("n", [3, 10])
def test_order_and_padding_do_not_matter(n, tied):
    rng = np.random.default_rng(n)
    label = (ratings(rng, n) + 0.3 * rng.random(n)).astype(np.float32)
    label[:2] = 5.0, 1.0
    score = ratings(rng, n) if tied else rng.normal(size=n).astype(np.float32)
    expected = of_query(score, label)
    for width in (10, 17):
        order = rng.permutation(width)
        padded_score, padded_label = (rng.normal(4, 3, width).astype(np.float32) for _ in range(2))
        padded_score[-1] = padded_label[-1] = np.nan
        padded_score[:n], padded_label[:n] = score, label
        found = of_rows(padded_score[order], padded_label[order], (np.arange(width) < n)[order])
        for name in NAMES:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, err_msg=name)


@pytest.mark.parametrize("tied", [False, True])
def test_order_and_padding_of_a_catalogue_do_not_matter(tied):
    rng = np.random.default_rng(1)
    score = rng.integers(0, 5, 60).astype(np.float32) if tied else rng.normal(size=60).astype(np.float32)
    there, position, label = rng.random(60) < 0.8, rng.permutation(60)[:5], ratings(rng, 5)
    label[:2] = 5.0, 1.0
    expected = of_catalogue(score, there, position, label, np.ones(5, bool))
    for width in (60, 73):
        order, rows = rng.permutation(width), rng.permutation(8)
        padded_score = np.append(score, np.full(width - 60, np.nan, np.float32))[order]
        padded_there = np.append(there, np.zeros(width - 60, bool))[order]
        padded_position = np.append(np.argsort(order)[position], [0, -1, width - 1])[rows]
        padded_label = np.append(label, [5, np.nan, 1]).astype(np.float32)[rows]
        found = of_catalogue(padded_score, padded_there, padded_position, padded_label, (np.arange(8) < 5)[rows])
        for name in NAMES:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, err_msg=name)


def test_a_catalogue_of_judged_rows_is_a_query():
    rng = np.random.default_rng(2)
    for _ in range(10):
        score, label, position = rng.integers(0, 4, 8).astype(np.float32), ratings(rng, 8), rng.permutation(8)
        label[0] = 5
        by_item = np.zeros(8, np.float32)
        by_item[position] = score
        found = of_catalogue(by_item, np.zeros(8, bool), position, label, np.ones(8, bool))
        expected = of_query(score, label)
        for name in NAMES:
            np.testing.assert_allclose(found[name], expected[name], rtol=1e-6, err_msg=name)


def test_vmap_is_one_task_at_a_time():
    rng = np.random.default_rng(4)
    score, label, mask = rng.normal(size=(6, 10)).astype(np.float32), ratings(rng, 6, 10), rng.random((6, 10)) < 0.7
    batch = jax.vmap(of_rows)(score, label, mask)
    for task in range(6):
        for name, expected in of_rows(score[task], label[task], mask[task]).items():
            np.testing.assert_allclose(batch[name][task], expected, rtol=1e-6)


@pytest.mark.parametrize(
    ("label", "undefined"),
    [
        ([1, 2, 3], {"recall@3", "hr@2", "map@3", "mrr", "mrr@2", "auc"}),  # none is liked
        ([4, 5, 4], {"auc"}),  # all are
        ([0, 0, 0], set(NAMES) - {"precision@3"}),
        ([1, 1, 4], set()),
    ],
)
def test_undefined_is_nan(label, undefined):
    found = of_query(np.arange(3, dtype=np.float32), np.array(label, np.float32))
    assert {name for name in NAMES if np.isnan(found[name])} == undefined


def test_no_rows_is_undefined():
    nothing = of_rows(*ratings(np.random.default_rng(0), 2, 10), np.zeros(10, bool))
    assert all(np.isnan(value) for value in nothing.values())


def test_a_nan_score_shows():
    """Also that of a candidate without a label: it would never be counted as above another."""
    label = np.array([5, 1, 2], np.float32)
    assert all(np.isnan(value) for value in of_query(np.float32([1, np.nan, 2]), label).values())
    score = np.where(np.arange(9) == 8, np.nan, 1).astype(np.float32)
    for there in (np.ones(9, bool), np.arange(9) < 8):
        found = of_catalogue(score, there, np.arange(3), label, np.ones(3, bool))
        assert all(np.isnan(value) == there[8] for value in found.values())


def test_minus_infinity_ranks_last():
    label = np.array([5, 1, 4, 2], np.float32)
    assert of_query(np.float32([0, 1, -np.inf, -np.inf]), label) == of_query(np.float32([0, 1, -9, -9]), label)


def test_large_labels_do_not_overflow():
    label = np.full(9, 127.5, np.float32)
    assert of_query(np.arange(9, dtype=np.float32), label)["ndcg@20"] == pytest.approx(1)
