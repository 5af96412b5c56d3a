"""Weights, propensities and relations: read, checked, hashed, and carried through what filters, adds and turns rows."""

import numpy as np
import polars as pl
import pytest

from recmeta.cleaning import kcore, negatives
from recmeta.config.components import component
from recmeta.datasets.interactions import make_interactions
from recmeta.datasets.relations import RelationFile
from recmeta.datasets.table import table
from recmeta.protocols.plan import turned
from recmeta.types import UserError

ROWS = [
    "user,item,label,time,w,p", "a,x,5,1,0.5,0.1", "a,y,4,2,1,0.2", "b,x,3,3,2,0.3", "b,y,5,4,0,1", "c,y,5,5,4,0.5",
]  # fmt: skip
TRUST = ["from,to,strength", "b,a,0.5", "a,c,2", "a,nobody,9"]


@pytest.fixture
def read(tmp_path):
    """``read(rows, trust, **changed)``: a table with weights, propensities and a relation."""

    def read(rows=ROWS, trust=TRUST, **changed):
        (tmp_path / "rows.csv").write_text("\n".join(rows))
        (tmp_path / "trust.csv").write_text("\n".join(trust))
        relation = {"file": str(tmp_path / "trust.csv"), "source": "from", "target": "to", "weight": "strength"}
        block = {
            "_target_": "recmeta.datasets.table", "_partial_": True, "_convert_": "all",
            "interactions": str(tmp_path / "rows.csv"), "relations": {"trust": relation | {"sides": ["user", "user"]}},
            "columns": {"time": "time", "weight": "w", "propensity": "p"}, "label_range": [0, 5], "like": 4,
        }  # fmt: skip
        return component("dataset", block | changed, ())()

    return read


def test_they_are_read_as_they_stand(read):
    data = read()
    np.testing.assert_array_equal(data.weight, np.float32([0.5, 1, 2, 0, 4]))
    np.testing.assert_array_equal(data.propensity, np.float32([0.1, 0.2, 0.3, 1, 0.5]))
    trust = data.relations["trust"]
    assert trust.sides == ("user", "user")
    edges = zip(data.users.ids[trust.source], data.users.ids[trust.target], trust.weight.tolist(), strict=True)
    assert list(edges) == [("a", "c", 2.0), ("b", "a", 0.5)]
    assert data.counts["trust_edges_of_unknown_ids"] == 1
    assert "relation trust: 1 edges of ids without interaction are left out" in data.notes


def test_each_is_hashed_and_what_is_not_there_is_not(read):
    whole = read()
    others = [
        read(columns={"time": "time", "propensity": "p"}), read(columns={"time": "time", "weight": "w"}),
        read(relations={}), read(trust=[*TRUST, "c,a,1"]), read(trust=[TRUST[0], "b,a,0.6", *TRUST[2:]]),
        read(rows=[ROWS[0], "a,x,5,1,0.6,0.1", *ROWS[2:]]),
    ]  # fmt: skip
    assert len({data.sha256 for data in (whole, *others)}) == 7
    plain = read(relations={}, columns={"time": "time"})
    rows = pl.DataFrame([line.split(",")[:4] for line in ROWS[1:]], ["user", "item", "label", "time"], orient="row")
    rows = rows.with_columns(pl.col("label").cast(pl.Float64), pl.col("time").cast(pl.Int64))
    assert plain.sha256 == make_interactions("t", rows, label_range=(0, 5), like=4).sha256
    assert (plain.weight, plain.propensity, plain.relations) == (None, None, {})


def test_rows_and_edges_go_with_those_who_are_dropped(read):
    data = kcore(read(), users=2)
    assert data.users.ids.tolist() == ["a", "b"]
    np.testing.assert_array_equal(data.weight, np.float32([0.5, 1, 2, 0]))
    np.testing.assert_array_equal(data.propensity, np.float32([0.1, 0.2, 0.3, 1]))
    trust = data.relations["trust"]
    assert [values.tolist() for values in trust[1:]] == [[1], [0], [0.5]]
    assert trust.source.dtype == trust.target.dtype == np.int32


def test_drawn_rows_have_weight_one_and_no_propensity(read):
    data = negatives(read(columns={"time": "time", "weight": "w"}), per_positive=1, pool="all")
    assert len(data.label) == 6  # c has not had x; a and b have had all
    drawn = data.label == 0
    np.testing.assert_array_equal(data.weight[drawn], 1)
    np.testing.assert_array_equal(data.weight[~drawn], np.float32([0.5, 1, 2, 0, 4]))
    with pytest.raises(UserError, match="rows have propensities"):
        negatives(read(), per_positive=1)


def test_turned_about_a_relation_is_of_the_other_side(read):
    data = read()
    trust = turned(data, "item").relations["trust"]
    assert trust.sides == ("item", "item")
    np.testing.assert_array_equal(trust.source, data.relations["trust"].source)


@pytest.mark.parametrize(("changed", "message"), [
    ({"rows": [*ROWS, "c,x,1,6,-1,1"]}, r"rows.csv, line 7, column 'w': '-1' is no weight; give a finite number of at"),
    ({"rows": [*ROWS, "c,x,1,6,1,0"]}, r"line 7, column 'p': '0' is no propensity; give a probability above 0"),
    ({"trust": [*TRUST, "a,b,x"]}, r"trust.csv, line 5, column 'strength': 'x' is no weight"),
    ({"trust": [*TRUST, "a,,1"]}, r"trust.csv, line 5, column 'to': '' is no target"),
    ({"relations": {"trust": {"file": "none.csv", "side": 1}}}, r"^dataset.relations.trust.side: no such setting; "),
    ({"relations": {"trust": {"source": "a"}}}, r"^dataset.relations.trust.file is missing"),
    ({"relations": {"a b": {"file": "none.csv"}}}, r"^dataset.relations.a b: a relation's name must be letters"),
    ({"relations": {"t": {"file": "f", "sides": ["user", "film"]}}}, r"^dataset.relations.t.sides=.*'user' or 'item'"),
])  # fmt: skip
def test_refused(read, changed, message):
    with pytest.raises(UserError, match=message):
        read(**changed)


def test_from_python(tmp_path):
    (tmp_path / "rows.csv").write_text("\n".join(ROWS))
    (tmp_path / "like.tsv").write_text("source\ttarget\nx\ty\n")
    data = table(
        interactions=tmp_path / "rows.csv",
        relations={"like": RelationFile(tmp_path / "like.tsv", sides=("item", "item"))},
    )
    assert data.relations["like"].weight.tolist() == [1.0]
