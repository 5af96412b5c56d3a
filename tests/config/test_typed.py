"""What is typed in Python's way is read; what Hydra takes and does nothing with is refused."""

import pytest
from hydra.core.override_parser.overrides_parser import OverridesParser

from recmeta.config.typed import check_typed, plain_values
from recmeta.types import UserError


@pytest.mark.parametrize(
    ("typed", "value"),
    [
        ("clip=None", None),
        ("learner.adapts={'lora': 4}", {"lora": 4}),
        ("x={'a': {'b': None}, 'c': [None, 'it''s', 1.5, True]}", {"a": {"b": None}, "c": [None, "its", 1.5, True]}),
        ("x=[None, 1]", [None, 1]),
        ("x=[{'_target_': 'mine.hit', 'k': 5}]", [{"_target_": "mine.hit", "k": 5}]),
        ('x={"a": "quo\'te"}', {"a": "quo'te"}),
        ("x={a: 1}", {"a": 1}),
        ("x=['a','b']", ["a", "b"]),
        ("name=None_of_them", "None_of_them"),
        ("x={'not a name': 1}", None),
    ],
)
def test_values_in_pythons_way(typed, value):
    (found,) = plain_values([typed])
    if value is None and typed != "clip=None":
        assert found == typed  # Hydra has no such name, and says so
        return
    assert OverridesParser.create().parse_override(found).value() == value


def test_sweeps_and_flags_are_left_alone():
    typed = ["-m", "--config-dir", "learner=maml,ridge", "~learner.x", "clip=None,1.0"]
    assert plain_values(typed) == [*typed[:4], "clip=null,1.0"]


def test_a_group_has_one_choice_and_a_launcher_a_sweep():
    check_typed(
        ["learner=maml", "metrics=[mae,rmse]", "reporter=[console]"], {"hydra/launcher": "basic"}, multirun=False
    )
    check_typed([], {"hydra/launcher": "fused", "hydra/sweeper": "optuna"}, multirun=True)
    with pytest.raises(UserError, match=r"one learner, as learner=maml; for a run of each: -m learner=maml,ridge"):
        check_typed(["learner=[maml,ridge]"], {}, multirun=True)
    for group in ("hydra/launcher", "hydra/sweeper"):
        with pytest.raises(UserError, match=f"^{group}=other: it is for sweeps, and this is one run; add -m$"):
            check_typed([], {group: "other"}, multirun=False)
