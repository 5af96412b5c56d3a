"""Wrong command lines end in one or two lines, exit code 2, and nothing written."""

import importlib.util
import sys
from pathlib import Path

import pytest

import recmeta

PATH = Path(recmeta.__file__).parents[1] / "scripts" / "wrong_inputs.py"
spec = importlib.util.spec_from_file_location("wrong_inputs", PATH)
assert spec is not None
assert spec.loader is not None
wrong_inputs = importlib.util.module_from_spec(spec)
sys.modules["wrong_inputs"] = wrong_inputs
spec.loader.exec_module(wrong_inputs)


def test_there_are_as_many_as_asked_for_of_every_kind():
    found = wrong_inputs.cases(300)
    assert len(found) == 300
    assert len({tuple(case.typed) for case in found if case.around is not wrong_inputs.full_disk}) > 280
    kinds = {case.kind for case in found}
    assert {one.__name__ for one in wrong_inputs.MUTATORS} < kinds
    assert {"combination", "damaged", "full disk", "no network"} < kinds


@pytest.mark.slow
def test_every_wrong_input_ends_as_it_should(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["wrong_inputs.py"])
    code = wrong_inputs.main()
    assert code == 0, capsys.readouterr().out
