"""Drop support rows at random."""

from __future__ import annotations

from typing import Annotated

import jax
from annotated_types import Gt, Le
from jaxtyping import PRNGKeyArray

from recmeta.types import Augmentation, Batch


def support_subsample(*, keep: Annotated[float, Gt(0), Le(1)]) -> Augmentation:
    """Keep each support row with a probability, independently of the others; the query stays as it is.

    A support of which no row stays is one of a new user of whom nothing is known: that is trained for too.

    Args:
        keep: the probability, above 0 and at most 1.
    """

    def augment(key: PRNGKeyArray, batch: Batch) -> Batch:
        support = batch.task.support
        stays = jax.random.bernoulli(key, keep, support.mask.shape)
        return batch._replace(task=batch.task._replace(support=support._replace(mask=support.mask & stays)))

    return augment
