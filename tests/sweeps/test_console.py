from pathlib import Path

from recmeta.sweeps.console import shared_console
from recmeta.types import Run


def run(name, *overrides):
    return Run(name, Path(name), {}, overrides, {}, [0, 1], 4, 0, {}, True, {"mae": "min"}, "mae")


def test_a_line_for_all_points_at_a_step_and_one_for_each_at_its_end():
    said = []
    make = shared_console(frozenset({"steps=4"}), said.append)
    voices = [make(), make()]
    for place, voice in enumerate(voices):
        voice.start(run(f"p{place}", "steps=4", f"seeds=[{place}]"))
    for step in (2, 4):
        for place, voice in enumerate(voices):
            voice.log(step, "train", {"loss": [0.0, 0.0]})
            voice.log(step, "validation", {"mae": [place + step / 10, place + step / 10 + 0.2]})
    assert said == ["step 2: 2 runs, meta-validation 0.3000 to 1.3000"]
    voices[1].finish({"metric": {"name": "mae", "value": 0.5}, "validation": {"value": 1.5}}, None, {})
    assert said[1:] == [
        "step 4: 2 runs, meta-validation 0.5000 to 1.5000",
        "p1 seeds=[1]: mae 0.5000, by meta-validation 1.5000",
    ]
