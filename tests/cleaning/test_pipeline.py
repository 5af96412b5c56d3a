import json
from dataclasses import replace
from functools import partial
from typing import Any

import pytest
from hydra import compose, initialize_config_dir
from omegaconf import OmegaConf

from recmeta import cleaning
from recmeta.cleaning import activity, binarise, blocks, bucket, clean, clip, kcore, negatives, window
from recmeta.config import parts, schema, versions
from recmeta.experiment import run as experiment
from recmeta.types import UserError

LIST = (
    partial(window, since=20),
    partial(clip),
    partial(activity, users=(5, None)),
    partial(binarise),
    partial(kcore, users=10, items=5),
    partial(bucket, buckets=3, features=("item.year",)),
    partial(negatives, per_positive=1, seed=3),
    partial(kcore, users=15),
)


def test_what_comes_in_is_what_goes_out_and_what_was_dropped(data):
    made = clean(data, steps=LIST)
    told = [name.partition(": ") for name in made.counts if name.endswith(": rows in")]
    names = [name for name, _, _ in told]
    assert names == ["window", "activity", "binarise", "kcore", "negatives", "kcore (2)"]
    rows, users, items = len(data.user), len(data.users.ids), len(data.items.ids)
    for name in names:
        count = {what: made.counts.get(f"{name}: {what}", 0) for what in ("rows in", "rows dropped", "rows added")}
        assert count["rows in"] == rows
        rows += count["rows added"] - count["rows dropped"]
        assert made.counts[f"{name}: rows out"] == rows
        users -= made.counts[f"{name}: users dropped"]
        items -= made.counts[f"{name}: items dropped"]
    assert (rows, users, items) == (len(made.user), len(made.users.ids), len(made.items.ids))
    assert made.counts["window: rows dropped"] == sum(data.time < 20)
    assert made.counts["binarise: labels changed"] > 0
    assert made.counts["negatives: positives"] > 0
    # What was told of the source stays.
    assert dict(list(made.counts.items())[: len(data.counts)]) == data.counts


def test_the_list_is_in_the_data_hash(data):
    one = clean(data, steps=[partial(kcore, users=2)])
    assert one.counts["kcore: rows dropped"] == 0
    lists = [
        [],
        [partial(kcore, users=2)],
        [partial(kcore, users=2, items=2)],
        [partial(kcore, users=2), partial(kcore, users=2)],
        [partial(clip)],
        [partial(clip, high=0.9)],
        [partial(kcore, users=2), partial(clip)],
        [partial(clip), partial(kcore, users=2)],
    ]
    hashes = [clean(data, steps=steps).sha256 for steps in lists]
    assert len(set(hashes)) == len(lists)
    assert hashes[0] == data.sha256
    # A default that is written out is the same list.
    assert clean(data, steps=[partial(kcore, users=2, items=1)]).sha256 == one.sha256
    assert clean(replace(data, label=data.label[::-1].copy()), steps=lists[1]).sha256 != one.sha256


def test_no_steps_are_no_change(data):
    assert clean(data, steps=()) is data


def test_order_matters(tiny, shown):
    """Of two likes of a and one of b: counted first, both have two rows; liked first, b has one."""
    data = tiny("a1 a2 b1 b2", [5, 5, 5, 1], like=4)
    liked, two = partial(binarise, below="drop"), partial(kcore, users=2)
    assert shown(clean(data, steps=[two, liked])) == "a1 a2 b1"
    assert shown(clean(data, steps=[liked, two])) == "a1 a2"


def test_the_best_errors_possible_are_those_of_other_rows(data):
    known = replace(data, attainable={"mae": 0.5})
    assert clean(known, steps=[partial(clip)]).attainable == {"mae": 0.5}
    assert clean(known, steps=[partial(kcore, users=2)]).attainable == {"mae": 0.5}
    dropped = clean(known, steps=[partial(kcore, users=12)])
    assert dropped.attainable is None
    assert "the best errors possible" in dropped.notes[-1]


def test_a_refusal_says_which_step(data):
    with pytest.raises(UserError, match=r"^cleaning\.steps\[1\], window: since=x: give seconds"):
        clean(data, steps=[partial(clip), partial(window, since="x")])
    with pytest.raises(UserError, match=r"^cleaning\.steps\[0\], kcore: none of \d+ rows is left; loosen it"):
        clean(data, steps=[partial(kcore, users=99)])


# --- from a config ---


def composed(*overrides: str) -> Any:
    schema.register()
    with initialize_config_dir(str(schema.CONF), **versions.BASE):
        return OmegaConf.to_container(compose("config", list(overrides)), resolve=True, throw_on_missing=True)


def cleaned(*overrides: str) -> Any:
    """The partial that is built of a config."""
    return parts.make_parts(composed(*overrides)).cleaning


def settings(made):
    return [(step.func.__name__, step.keywords) for step in made.keywords["steps"]]


def test_a_list_is_typed():
    typed = "cleaning.steps=[binarise,{step: kcore, users: 5},{_target_: recmeta.cleaning.clip, _partial_: true, "
    made = cleaned(typed + "_convert_: all, features: [user.age]}]")
    assert settings(made) == [("binarise", {}), ("kcore", {"users": 5}), ("clip", {"features": ("user.age",)})]


def test_a_number_of_a_preset_is_typed():
    assert settings(cleaned("cleaning=ten_core", "cleaning.steps.0.items=2")) == [("kcore", {"users": 10, "items": 2})]
    assert settings(cleaned()) == []


def test_every_step_is_known_by_its_name():
    functions = {name for name in cleaning.__all__ if name not in ("blocks", "clean")}
    assert {block["_target_"] for _, block in blocks({"steps": sorted(functions)})} == {
        f"recmeta.cleaning.{name}" for name in functions
    }


@pytest.mark.slow
def test_what_was_done_is_in_the_run_directory(small, tmp_path):
    typed = "cleaning.steps=[{step: kcore, users: 11},{step: bucket, buckets: 3, features: [item.year]}]"
    config = composed(*small, f"output={tmp_path}", typed)
    summary = experiment.run(config, [typed])
    (written,) = tmp_path.rglob("provenance.json")
    told = json.loads(written.read_text())
    counts = told["data"]["counts"]
    assert counts["kcore: rows in"] == counts["kcore: rows out"] + counts["kcore: rows dropped"]
    assert counts["kcore: users dropped"] > 0
    (note,) = told["split"]["notes"]
    assert note.startswith("bucket item.year: values in 30, values dropped 0, values out 30, buckets 3; of the 30 that")
    assert summary["hashes"]["data"] != experiment.run(composed(*small, f"output={tmp_path}"), [])["hashes"]["data"]


@pytest.mark.parametrize(
    ("steps", "said"),
    [
        ("[kore]", r"cleaning\.steps\[0\]\.step=kore: no such step; there are label_range, window, "),
        (
            "[clip,{step: kcore, users: 0}]",
            r"cleaning\.steps\[1\]\.users=0: input should be greater than or equal to 1",
        ),
        ("[{step: kcore, user: 5}]", r"cleaning\.steps\[0\]\.user: kcore has no such setting; it has users, items"),
        ("[{step: bucket}]", r"cleaning\.steps\[0\]\.buckets is missing: bucket needs it"),
        ("[{users: 5}]", r"cleaning\.steps\[0\]=.*: give a step by its name, as \{step: kcore, users: 5\}"),
        ("[3]", r"cleaning\.steps\[0\]=3: give a step by its name"),
        ("kcore", "cleaning=.*: must be a block with steps, a list"),
        ("[{step: standardise, by: size}]", r"cleaning\.steps\[0\]\.by=size: input should be 'standard', 'robust', "),
    ],
)
def test_what_is_typed_wrong_is_said_in_a_line(steps, said):
    with pytest.raises(UserError, match=f"^{said}"):
        cleaned(f"cleaning.steps={steps}")
