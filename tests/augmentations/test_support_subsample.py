import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.augmentations.support_subsample import support_subsample


@pytest.fixture
def batch(problem):
    return problem.gather(problem.train, problem.draw(jax.random.key(0), problem.train, 400))


def test_the_share_that_stays_is_the_one_asked_for(batch):
    augmented = support_subsample(keep=0.7)(jax.random.key(1), batch)
    before, after = (np.asarray(each.task.support.mask) for each in (batch, augmented))
    assert not (after & ~before).any()
    share, rows = after.sum() / before.sum(), before.sum()
    assert share == pytest.approx(0.7, abs=4 * np.sqrt(0.21 / rows))
    # Tasks and rows are dropped from independently of each other: one row says nothing of the next.
    both = (before[:, 0] & before[:, 1]).sum()
    assert (after[:, 0] & after[:, 1]).sum() / both == pytest.approx(0.49, abs=4 * np.sqrt(0.25 / both))


def test_all_else_stays_as_it_is(batch):
    augmented = support_subsample(keep=0.5)(jax.random.key(1), batch)
    support = batch.task.support
    restored = augmented._replace(
        task=augmented.task._replace(support=augmented.task.support._replace(mask=support.mask))
    )
    assert all(jax.tree.leaves(jax.tree.map(jnp.array_equal, restored, batch)))
    kept = support_subsample(keep=1.0)(jax.random.key(1), batch)
    assert jnp.array_equal(kept.task.support.mask, support.mask)
