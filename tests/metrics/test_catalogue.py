"""A whole catalogue for every user, at full size: how the parts go together, and what it costs."""

from time import perf_counter

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.metrics import catalogue_view, metric
from recmeta.metrics.lists import coverage, top
from recmeta.protocols.candidates import self_information

USERS, ITEMS, ROWS, KNOWN, BLOCK = 6040, 3706, 10, 20, 40
"""MovieLens-1M, ten judged rows each and twenty known; users are taken this many at a time."""
RANKING = ("auc", "mrr", *(f"{kind}@10" for kind in ("ndcg", "ndcg_linear", "hr", "recall", "precision", "map", "mrr")))


@pytest.fixture(scope="module")
def tasks():
    """Each user's factors, judged and known items (all different), and labels."""
    rng = np.random.default_rng(0)
    size = ROWS + KNOWN
    drawn = rng.integers(0, ITEMS // size, (USERS, size)) * size + np.arange(size)
    factors = rng.normal(size=(USERS, 32)).astype(np.float32)
    return factors, drawn[:, :ROWS], drawn[:, ROWS:], rng.integers(1, 6, (USERS, ROWS)).astype(np.float32)


@pytest.fixture(scope="module")
def items():
    return np.random.default_rng(1).normal(size=(ITEMS, 32)).astype(np.float32)


def candidates(known):
    return jnp.ones(ITEMS, bool).at[known].set(False)


def timed(function, *arguments):
    compiled = jax.jit(function).lower(*arguments).compile()
    began = perf_counter()
    found = jax.device_get(compiled(*arguments))
    return found, perf_counter() - began


@pytest.mark.slow
def test_all_ranking_metrics_of_all_users_in_seconds(tasks, items):
    def one(task):
        factor, position, known, label = task
        mask = jnp.ones(ROWS, bool)
        view = catalogue_view(items @ factor, candidates(known), position, label, label, mask, like=4)
        return {name: metric(name).of(view) for name in RANKING}

    found, seconds = timed(lambda tasks: jax.lax.map(one, tasks, batch_size=BLOCK), tasks)
    print(f"{len(RANKING)} ranking metrics, {USERS} users by {ITEMS} items: {seconds:.2f} s")
    assert np.nanmean(found["auc"]) == pytest.approx(0.5, abs=0.01)
    assert np.nanmean(found["recall@10"]) == pytest.approx(10 / (ITEMS - KNOWN), rel=0.2)
    assert seconds < 10


@pytest.mark.slow
def test_novelty_diversity_and_coverage_of_all_users_in_seconds(tasks, items):
    """Coverage is folded over blocks, beside the two metrics of each user."""
    novelty, diversity, cover = metric("novelty@10"), metric("ild@10"), coverage(10)
    information = jnp.asarray(self_information(np.arange(ITEMS), ITEMS), jnp.float32)

    def block(state, tasks):
        factor, _, known, _ = tasks
        there = jax.vmap(candidates)(known)
        shown = jax.vmap(top, (0, 0, None))(factor @ items.T, there, 10)
        per_user = (
            jax.vmap(novelty.of, (0, None))(shown, information),
            jax.vmap(diversity.of, (0, None))(shown, items),
        )
        return cover.add(state, shown, there), per_user

    def run(tasks):
        blocks = jax.tree.map(lambda values: values.reshape(-1, BLOCK, *values.shape[1:]), tasks)
        state, per_user = jax.lax.scan(block, cover.start(ITEMS), blocks)
        return cover.value(state), per_user

    (covered, (novel, diverse)), seconds = timed(run, tasks)
    print(f"novelty, diversity and coverage, {USERS} users by {ITEMS} items: {seconds:.2f} s")
    assert 0.9 < covered <= 1
    assert novel.mean() == pytest.approx(float(information.mean()), rel=0.05)
    assert 0.5 < diverse.mean() < 1
    assert seconds < 10
