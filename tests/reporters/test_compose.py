"""Composed reporters are called in order, and all of them are closed."""

from pathlib import Path

import pytest
from omegaconf import OmegaConf

from recmeta.config.components import component
from recmeta.reporters.several import compose
from recmeta.types import Reporter

CONF = Path(__file__).parents[2] / "conf" / "reporter"


def spy(name: str, calls: list, error: BaseException | None = None) -> Reporter:
    def record(call: str):
        def called(*args):
            calls.append((name, call, args))
            if call == "close" and error is not None:
                raise error

        return called

    return Reporter(*(record(call) for call in Reporter._fields))


def test_every_call_reaches_every_reporter_in_order():
    calls: list = []
    both = compose(spy("a", calls), spy("b", calls))
    both.start("run")  # type: ignore[arg-type]
    both.note("text")
    both.log(1, "train", {})
    both.finish({}, None, {})
    both.close(None)
    expected = [("start", ("run",)), ("note", ("text",)), ("log", (1, "train", {})), ("finish", ({}, None, {}))]
    expected.append(("close", (None,)))
    assert calls == [(name, *call) for call in expected for name in "ab"]


def test_all_are_closed_and_the_first_error_is_raised():
    calls: list = []
    first, second = KeyboardInterrupt("first"), ValueError("second")
    all_three = compose(spy("a", calls, first), spy("b", calls, second), spy("c", calls))
    with pytest.raises(KeyboardInterrupt, match="first"):
        all_three.close(None)
    assert [name for name, *_ in calls] == ["a", "b", "c"]


def test_composing_nothing_is_quiet():
    compose().close(None)


@pytest.mark.parametrize(
    ("choice", "names"), [("default", ["console", "wandb"]), ("console", ["console"]), ("quiet", [])]
)
def test_every_choice_builds(choice, names):
    loaded = OmegaConf.load(CONF / f"{choice}.yaml")
    assert list(loaded) == names
    for name in names:
        partial = component(f"reporter.{name}", OmegaConf.to_container(loaded[name]), ())
        assert partial is not None
        assert isinstance(partial(), Reporter)
