"""Losses that rank, against numpy: ties, masks, empty lists, and negatives of known probability."""

from functools import partial
from types import SimpleNamespace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.config.compatibility import check_objective
from recmeta.objectives.bpr import bpr
from recmeta.objectives.gbce import gbce
from recmeta.objectives.huber import huber
from recmeta.objectives.listwise import approx_ndcg, listnet
from recmeta.objectives.softmax import sampled_softmax, softmax
from recmeta.objectives.warp import warp
from recmeta.types import Field, ScoredNegatives

SPEC = SimpleNamespace(
    like=4.0, low=1.0, high=5.0, levels=(1.0, 2.0, 3.0, 4.0, 5.0), discrete=True, row=(Field("id", "categorical", 102),)
)
SCORE = np.array([0.3, -0.2, 1.0, 0.3, 50.0], np.float32)
LABEL = np.array([5.0, 1.0, 4.0, 2.0, 5.0], np.float32)
THERE = np.array([True, True, True, True, False])
RIVAL, COUNTS = np.array([0.1, 0.3, 2.0, 9.0], np.float32), np.array([True, True, True, False])
LIKED = (0, 2)

CONTRASTS = {
    "bpr": partial(bpr, spec=SPEC),
    "warp": partial(warp, spec=SPEC, margin=1.0),
    "softmax": partial(softmax, spec=SPEC, temperature=0.5, smoothing=0.1),
    "sampled_softmax": partial(sampled_softmax, spec=SPEC, temperature=1.0, smoothing=0.0),
    "gbce": partial(gbce, spec=SPEC, calibration=0.75),
}
LISTS = {
    "listnet": partial(listnet, spec=SPEC, temperature=0.5),
    "approx_ndcg": partial(approx_ndcg, spec=SPEC, temperature=0.1),
}
ALL = {**CONTRASTS, **LISTS, "huber": partial(huber, delta=1.0)}


def drawn(score=RIVAL, mask=COUNTS, log_q=None):
    return ScoredNegatives(
        jnp.array(score), jnp.zeros(len(score)) if log_q is None else jnp.array(log_q), jnp.array(mask)
    )


def loss(make, **changed):
    given = {"scores": jnp.array(SCORE), "labels": jnp.array(LABEL), "where": jnp.array(THERE)}
    return make().loss(**given | changed)


def test_huber_by_hand():
    left = np.abs(SCORE - LABEL)[:4]
    expected = np.where(left <= 1, left**2 / 2, left - 0.5).mean()
    np.testing.assert_allclose(loss(ALL["huber"]), expected, rtol=1e-6)


def test_bpr_is_the_mean_over_all_pairs():
    expected = np.mean([np.log1p(np.exp(RIVAL[j] - SCORE[i])) for i in LIKED for j in range(3)])
    np.testing.assert_allclose(loss(ALL["bpr"], negatives=drawn()), expected, rtol=1e-6)


def test_warp_weighs_by_the_rank_that_is_estimated():
    """101 items, a third of the draws each stands for."""
    ranks = [101 / 3 * np.maximum(1 + RIVAL[:3] - SCORE[i], 0).sum() for i in LIKED]
    np.testing.assert_allclose(loss(ALL["warp"], negatives=drawn()), np.log1p(ranks).mean(), rtol=1e-6)


def test_softmax_by_hand():
    expected = []
    for i in LIKED:
        logits = np.array([SCORE[i], *RIVAL[:3]]) / 0.5
        likely = logits - np.log(np.exp(logits).sum())
        expected.append(-0.9 * likely[0] - 0.1 * likely.mean())
    np.testing.assert_allclose(loss(ALL["softmax"], negatives=drawn()), np.mean(expected), rtol=1e-6)


def test_sampled_softmax_is_the_full_one_when_all_are_sampled():
    rng = np.random.default_rng(0)
    others = rng.normal(size=100).astype(np.float32)
    found = loss(ALL["sampled_softmax"], negatives=drawn(others, np.ones(100, bool), np.full(100, -np.log(100.0))))
    full = [np.log(np.exp(SCORE[i]) + np.exp(others).sum()) - SCORE[i] for i in LIKED]
    np.testing.assert_allclose(found, np.mean(full), rtol=1e-5)


def test_sampled_softmax_tends_to_the_full_one_however_items_are_drawn():
    rng = np.random.default_rng(0)
    others, share = rng.normal(size=100), rng.dirichlet(np.ones(100))
    picked = rng.choice(100, size=20_000, p=share)
    found = loss(ALL["sampled_softmax"], negatives=drawn(
        others[picked].astype(np.float32), np.ones(20_000, bool), np.log(share)[picked].astype(np.float32)
    ))  # fmt: skip
    full = np.mean([np.log(np.exp(SCORE[i]) + np.exp(others).sum()) - SCORE[i] for i in LIKED])
    # Rows of the task's own are drawn too, and do not count: the sum is over the others.
    own = np.arange(100) < 30
    masked = loss(CONTRASTS["sampled_softmax"], negatives=drawn(
        others[picked].astype(np.float32), ~own[picked], np.log(share)[picked].astype(np.float32)
    ))  # fmt: skip
    rest = np.mean([np.log(np.exp(SCORE[i]) + np.exp(others[~own]).sum()) - SCORE[i] for i in LIKED])
    assert abs(masked - rest) < 0.05 < abs(full - rest)
    plain = loss(partial(softmax, spec=SPEC, temperature=1.0, smoothing=0.0), negatives=drawn(
        others[picked].astype(np.float32), np.ones(20_000, bool)
    ))  # fmt: skip
    assert abs(found - full) < 0.05 < abs(plain - full)


@pytest.mark.parametrize("calibration", [0.0, 0.75, 1.0])
def test_gbce_by_hand(calibration):
    share = 3 / 100  # the fourth does not count
    beta = share * (calibration * (1 - 1 / share) + 1 / share)
    expected = [(beta * np.log1p(np.exp(-SCORE[i])) + np.log1p(np.exp(RIVAL[:3])).sum()) / 4 for i in LIKED]
    make = partial(gbce, spec=SPEC, calibration=calibration)
    np.testing.assert_allclose(loss(make, negatives=drawn()), np.mean(expected), rtol=1e-6)
    assert beta == pytest.approx({0.0: 1.0, 1.0: share}.get(calibration, beta))


def test_listnet_by_hand():
    target, own = np.exp(LABEL[:4] / (0.5 * 2)), np.exp(SCORE[:4])
    expected = -(target / target.sum() * np.log(own / own.sum())).sum()
    np.testing.assert_allclose(loss(LISTS["listnet"]), expected, rtol=1e-6)


def test_approximate_ndcg_tends_to_ndcg_of_the_mean_rank_of_ties():
    gain, rank = 2 ** LABEL[:4] - 1, np.array([2.5, 4, 1, 2.5])  # two tie on second and third
    best = (np.sort(gain)[::-1] / np.log2(2 + np.arange(4))).sum()
    expected = 1 - (gain / np.log2(1 + rank)).sum() / best
    sharp = partial(approx_ndcg, spec=SPEC, temperature=1e-3)
    np.testing.assert_allclose(loss(sharp), expected, rtol=1e-5)
    soft = np.array([0.5 + sum(1 / (1 + np.exp(-(SCORE[j] - SCORE[i]) / 0.1)) for j in range(4)) for i in range(4)])
    np.testing.assert_allclose(loss(LISTS["approx_ndcg"]), 1 - (gain / np.log2(1 + soft)).sum() / best, rtol=1e-4)


@pytest.mark.parametrize("name", CONTRASTS)
def test_on_a_support_liked_rows_are_set_against_the_others(name):
    """As if the rows that are not liked had been drawn, all of them."""
    others = drawn(SCORE[[1, 3]], np.ones(2, bool), np.full(2, -np.log(2.0)))
    support = loss(CONTRASTS[name])
    if name in ("warp", "gbce"):  # which know how many items there are
        assert np.isfinite(support)
    else:
        np.testing.assert_allclose(support, loss(CONTRASTS[name], negatives=others), rtol=1e-6)


@pytest.mark.parametrize("name", ALL)
def test_rows_that_are_not_there_and_empty_lists_have_no_part(name):
    more = {"negatives": drawn()} if name in CONTRASTS else {}
    slope = jax.grad(lambda scores: loss(ALL[name], scores=scores, **more))(jnp.array(SCORE))
    assert np.isfinite(slope).all()
    assert slope[4] == 0
    assert np.abs(slope).max() > 0
    for empty in ({"where": jnp.zeros(5, bool)}, {"where": jnp.zeros(5, bool), "weights": jnp.ones(5)}):
        value, slope = jax.value_and_grad(lambda s, empty=empty: loss(ALL[name], scores=s, **more, **empty))(
            jnp.array(SCORE)
        )
        assert value == 0
        np.testing.assert_array_equal(slope, 0)


@pytest.mark.parametrize("name", ALL)
def test_the_order_of_rows_and_one_score_more_for_all_change_no_ranking_loss(name):
    order = np.array([3, 0, 4, 2, 1])
    more = {"negatives": drawn()} if name in CONTRASTS else {}
    turned = {
        key: jnp.array(values[order])
        for key, values in zip(("scores", "labels", "where"), (SCORE, LABEL, THERE), strict=True)
    }
    np.testing.assert_allclose(loss(ALL[name], **turned, **more), loss(ALL[name], **more), rtol=1e-6)
    if name not in ("huber", "gbce"):
        shifted = {"negatives": drawn(RIVAL + 2)} if more else {}
        np.testing.assert_allclose(
            loss(ALL[name], scores=jnp.array(SCORE + 2), **shifted), loss(ALL[name], **more), rtol=1e-5
        )


@pytest.mark.parametrize("name", ALL)
def test_weights_of_one_change_nothing_and_the_contract_holds(name):
    check_objective(ALL[name]())
    more = {"negatives": drawn()} if name in CONTRASTS else {}
    np.testing.assert_allclose(loss(ALL[name], weights=jnp.ones(5), **more), loss(ALL[name], **more), rtol=1e-6)
