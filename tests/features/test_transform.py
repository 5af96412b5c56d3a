"""A fitted transform encodes anybody as the task tables have them, before and after it was saved."""

from dataclasses import replace

import numpy as np
import polars as pl
import pytest

from recmeta.cleaning import bucket, clip, standardise, vocabulary
from recmeta.datasets.interactions import make_interactions
from recmeta.features import transform as transforms
from recmeta.features.kinds import address_of
from recmeta.types import ENTITY, Column, Fitted, Preparation, UserError

LEAVING = {
    "none": lambda data: data,
    "prepared": lambda data: vocabulary(
        bucket(clip(data, low=0.1, high=0.9, features=("user.age",)), buckets=4, features=("item.year",)), least=9
    ),
    "scaled": lambda data: standardise(standardise(data, by="log"), by="robust"),
}


def title_lengths(column: Column, state) -> Column:
    """Texts to how many characters they have, over the most: a preparation of text as one from outside may be."""
    return Column("numeric", np.array([len(value) / state["most"] if value else np.nan for value in column.values]))


def fit_lengths(column: Column, seen) -> Fitted:
    return Fitted({"most": np.array(max(map(len, column.values[seen])))}, {}, "lengths")


@pytest.fixture(scope="module")
def rich(frames):
    """The small data set with a vector, and a text that a preparation makes a number of, on its items."""
    rows, users, items = frames
    rng = np.random.default_rng(0)
    emb = [None if place % 5 == 0 else rng.normal(size=3).tolist() for place in range(30)]
    items = items.with_columns(
        emb=pl.Series(emb, dtype=pl.Array(pl.Float64, 3)), title=pl.Series(["x" * place for place in range(30)])
    )
    kinds = {"item": {"title": ("text", {})}}
    data = make_interactions("rich", rows, users=users, items=items, kinds=kinds, label_range=(1, 5), like=4)
    features = dict(data.items.features)
    lengths = Preparation("lengths item.title", "numeric", fit_lengths, title_lengths)
    features["title"] = replace(features["title"], preparations=(lengths,))
    return replace(data, items=replace(data.items, features=features))


def plain(column: Column, place: int):
    """A raw value as Python has it; None where it is missing."""
    value = np.asarray(column.values, dtype=object)[place]
    if column.kind == "vector":
        return None if np.isnan(column.values[place]).any() else column.values[place].tolist()
    return None if value in ("", ()) or value != value else value


@pytest.fixture(params=LEAVING)
def problem_of(request, rich, cut):
    data = LEAVING[request.param](rich)
    return data, cut(data)


def test_everybody_is_encoded_as_in_the_task_tables(problem_of, tmp_path):
    """Those of meta-train, those who are tested on, by the transform and by the one that was saved and loaded."""
    data, problem = problem_of
    transforms.save(problem.transform, tmp_path / "features")
    for transform in (problem.transform, transforms.load(tmp_path / "features")):
        for place in range(len(data.users.ids)):
            given = {name: plain(column, place) for name, column in data.users.features.items()}
            found = transform.context(given, id=str(data.users.ids[place]))
            assert set(found) == set(problem.train.contexts) - {ENTITY}  # a new user has no number there
            for name, value in found.items():
                np.testing.assert_array_equal(value, problem.train.contexts[name][place], err_msg=name)
        for place in range(len(data.items.ids)):
            given = {name: plain(column, place) for name, column in data.items.features.items()}
            found = transform.row(given, id=data.items.ids[place])
            assert set(found) == set(problem.train.entities)
            for name, value in found.items():
                np.testing.assert_array_equal(value, problem.train.entities[name][place], err_msg=name)


def test_one_whom_nobody_has_seen(problem):
    found = problem.transform.context({"age": 31, "job": "astronaut"})
    age = problem.transform.state["context"][0].state
    np.testing.assert_allclose(found["age"], [(31 - age["mean"]) / age["spread"], 0], rtol=1e-6)
    assert found["job"] == 0
    assert set(found) == {"age", "job"}  # under user_cold an id is no input
    nobody = problem.transform.row({})
    assert nobody["id"] == 0
    assert nobody["genre"].tolist() == [0, 0, 0]
    assert nobody["year"].tolist() == [0, 1]
    new = problem.transform.row({"genre": ["opera", "crime"], "year": None}, id="unheard")
    assert (new["id"], new["genre"].tolist()) == (0, [1, 0, 0])


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"agee": 3}, r"context: no feature 'agee'; there are age, job"),
        ({"age": "old"}, r"context: age: 'old' is not a number"),
        ({"job": ["nurse"]}, r"context: job: \['nurse'\] is not one value"),
    ],
)
def test_refuses_what_is_no_feature(problem, given, said):
    with pytest.raises(UserError, match=f"^{said}"):
        problem.transform.context(given)


def test_a_vector_of_another_length_is_refused(rich, cut):
    with pytest.raises(UserError, match=r"^a vector of 2 numbers, where those trained on have 3"):
        cut(rich).transform.row({"emb": [1.0, 2.0]})


def test_text_that_nothing_is_made_of_is_left_out_and_noted(rich, cut):
    features = dict(rich.items.features)
    features["title"] = replace(features["title"], preparations=())
    problem = cut(replace(rich, items=replace(rich.items, features=features)))
    assert "title" not in {field.name for field in problem.spec.row}
    assert "title is text, which no preparation makes anything of: the model does not read it" in problem.split.notes


def test_what_cannot_be_found_again_is_refused_when_it_is_fitted(rich, cut):
    with pytest.raises(UserError, match="must be a function of a module"):
        address_of(lambda column, state: column)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "transform.json: no such file; run it again with force=true"),
        ("{", "transform.json: cannot be read"),
        ('{"version": 9}', "transform.json: version 9, and this recmeta reads 1"),
        ('{"version": 1, "context": [{"name": "x"}]}', "features: cannot be read"),
    ],
)
def test_refuses_a_damaged_one(tmp_path, content, said):
    folder = tmp_path / "features"
    folder.mkdir()
    if content is not None:
        (folder / "transform.json").write_text(content)
    with pytest.raises(UserError, match=said):
        transforms.load(folder)
