"""Traced numbers within blocks: found, replaced, and left out of what makes a program another one."""

from functools import partial

from recmeta.config.components import component, traceable
from recmeta.config.values import replaced, without
from recmeta.learners.adaptation.inner import Inner

BLOCK = {
    "_target_": "recmeta.learners.maml", "_partial_": True, "_convert_": "all", "inner_steps": 1, "inner_rate": 0.1,
    "first_order": False, "adapts": "head", "inner": {"clip": 2, "truncate": 1},
}  # fmt: skip
GIVEN = ("spec", "model", "objective")


def test_a_number_within_a_block_is_traced_by_its_dotted_name():
    made = component("learner", BLOCK, GIVEN)
    assert made.keywords["inner"] == Inner(clip=2.0, truncate=1)
    assert traceable("learner", made) == {"inner_rate": 0.1, "inner.clip": 2.0}
    plain = component("learner", BLOCK | {"inner": {}}, GIVEN)
    assert traceable("learner", plain) == {"inner_rate": 0.1}  # null is no number


def test_replaced_numbers_leave_the_rest_of_their_block():
    made = partial(dict, rate=0.1, inner=Inner(clip=2.0, truncate=1))
    assert replaced(made, {"rate": 0.3, "inner.clip": 5.0})() == {"rate": 0.3, "inner": Inner(clip=5.0, truncate=1)}
    assert made.keywords["inner"].clip == 2.0


def test_without_takes_them_out_of_the_config():
    assert without(BLOCK, ["inner_rate", "inner.clip"])["inner"] == {"truncate": 1}
