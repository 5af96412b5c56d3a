"""Cross-fitting: what a meta-train task reads has none of its labels in it."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from recmeta.fitted.folds import cross_fit, of_tasks, own_fold
from recmeta.fitted.label_counts import PRIOR, count_labels
from recmeta.fitted.rows import catalogue, owners
from recmeta.learners.blocks.inputs import prepare
from recmeta.protocols.background import FOLDS
from recmeta.types import ENTITY

fit_both = partial(prepare, base="factor_model", rank=2)


@pytest.fixture(scope="module")
def fitted(problem):
    return cross_fit(problem, fit_both)


def of(fits, fold):
    return jax.tree.map(lambda values: np.asarray(values[fold]), fits)


def same(one, other):
    return all(np.array_equal(a, b) for a, b in zip(jax.tree.leaves(one), jax.tree.leaves(other), strict=True))


def test_folds_are_of_one_size_and_no_test_task_is_in_one(problem):
    folds = problem.background().folds
    trained = np.asarray(problem.train.entity)
    sizes = np.bincount(folds[trained], minlength=FOLDS + 1)
    assert sizes[0] == 0
    assert sizes[1:].max() - sizes[1:].min() <= 1
    for batch in (problem.validation, *problem.test.values()):
        assert (folds[np.asarray(batch.task.context[ENTITY])] == 0).all()


def test_labels_of_a_task_do_not_reach_what_it_reads(problem, fitted):
    """Mutation: of each fold's tasks all labels are changed, and the fit that these tasks read is equal to the bit."""
    for fold in (1, FOLDS):
        own = np.asarray(fitted.fold)[np.asarray(problem.train.entity)[owners(problem.train)]] == fold
        label = np.where(own, 6 - np.asarray(problem.train.label), problem.train.label)
        changed = cross_fit(problem._replace(train=problem.train._replace(label=jnp.asarray(label))), fit_both)
        for other in range(FOLDS + 1):
            assert same(of(fitted.fits, other), of(changed.fits, other)) == (other == fold)


def test_every_fit_is_that_of_the_tasks_left(problem, fitted):
    """Leave the tasks out by hand; rows of the others stay with their tasks."""
    entity = np.asarray(problem.train.entity)
    kept = np.asarray(fitted.fold)[entity] != 2
    part = of_tasks(problem, kept)
    assert part.train.entity.tolist() == entity[kept].tolist()
    first, size = np.asarray(problem.train.start)[kept][3], np.asarray(problem.train.size)[kept][3]
    begin = part.train.start[3]
    np.testing.assert_array_equal(part.train.row[begin : begin + size], problem.train.row[first : first + size])
    np.testing.assert_array_equal(part.train.label[begin : begin + size], problem.train.label[first : first + size])
    assert same(of(fitted.fits, 2), jax.tree.map(np.asarray, fit_both(problem)(part)))


def test_axes_of_all_fits_agree(problem, fitted):
    """Loadings of a fold's fit are nearer to those of the whole's as they stand than with an axis turned round."""
    loading = np.asarray(fitted.fits.base.loading)[:, 1:]
    for fold in range(1, FOLDS + 1):
        cosines = (loading[0] * loading[fold]).sum(0) / np.sqrt((loading[0] ** 2).sum(0) * (loading[fold] ** 2).sum(0))
        assert cosines[0] > 0.9
        assert (loading[0] * loading[fold]).sum() > 0


def test_a_task_reads_its_own_fold_and_a_new_one_the_whole(problem, fitted):
    entity = problem.train.entity[4]
    assert int(own_fold(fitted, {ENTITY: entity})) == problem.background().folds[int(entity)] > 0
    new = problem.test["user_cold"].task.context[ENTITY][0]
    assert int(own_fold(fitted, {ENTITY: new})) == 0


def test_labels_are_counted_by_item(problem):
    items = catalogue(problem)
    counts = count_labels(problem, items)
    number = items.number[np.asarray(problem.train.entities["id"])[np.asarray(problem.train.row)]]
    label, levels = np.asarray(problem.train.label), np.asarray(problem.spec.levels)
    own = label[number == 3]
    everybody = (label[:, None] == levels).mean(0)
    shares = ((own[:, None] == levels).sum(0) + PRIOR * everybody) / (len(own) + PRIOR)
    np.testing.assert_allclose(counts.shares[3], shares, rtol=1e-5)
    np.testing.assert_allclose(counts.mean[3], shares @ levels, rtol=1e-5)
    np.testing.assert_allclose(counts.spread[3], np.sqrt(shares @ levels**2 - (shares @ levels) ** 2), rtol=1e-4)
    assert counts.rows[3] == len(own)
    np.testing.assert_allclose(counts.shares[0], everybody, rtol=1e-5)
