"""Scores of other systems, judged like the runs'."""

import numpy as np
import polars as pl
import pytest

from recmeta.results.judging import Judging
from recmeta.results.runs import find
from recmeta.results.tables import tabulate
from recmeta.types import UserError

RNG = np.random.default_rng(0)
BASE = RNG.normal(1, 0.3, 20)
MODEL = BASE - 0.1 + RNG.normal(0, 0.1, (2, 20))


@pytest.fixture
def runs(make, config):
    """Two splits, one of which has users that the other lacks; two seeds."""
    scores = {"model": MODEL, "item_mean": BASE}
    make("s0", config(split=0, seeds=(0, 1)), scores)
    path = make("s1", config(split=1, seeds=(0, 1)), scores, tasks=range(10, 30))
    return find([path.parent])[0]


def exported(runs, path, **more):
    """The model's own scores as another system's file."""
    frame = pl.concat([run.scores.with_columns(split=pl.lit(run.hashes["protocol"])) for run in runs])
    frame = frame.filter(pl.col("method") == "model").select("task", "seed", "split", "shots", "mae")
    frame = frame.with_columns(**more)
    frame.write_parquet(path) if path.suffix == ".parquet" else frame.write_csv(path)
    return path


@pytest.mark.parametrize("name", ["theirs.csv", "theirs.parquet"])
def test_a_round_trip_equals_internal(runs, tmp_path, name):
    (table,) = tabulate(runs, Judging(foreign=[exported(runs, tmp_path / name)]))
    rows = {row.label: row for row in table.rows}
    ours, theirs = rows["learner=ridge"], rows["theirs"]
    assert theirs.kind == "imported"
    assert theirs.cells["mae"] == ours.cells["mae"]
    assert (theirs.tasks, theirs.seeds, theirs.splits, theirs.curve) == (30, 2, 2, ours.curve)
    first, second = table.judged
    assert first.comparison == second.comparison
    assert (first.family, second.family) == (2, 2)


def test_what_is_left_out_is_the_only_one(make, config, tmp_path):
    path = make("a", config(), {"model": MODEL[:1], "item_mean": BASE})
    file = tmp_path / "theirs.csv"
    file.write_text("task,mae,remark\n" + "".join(f"u{i},{BASE[i] - 1},x\n" for i in range(19)))
    (table,) = tabulate(find([path])[0], Judging(foreign=[file]))
    theirs = next(row for row in table.rows if row.label == "theirs")
    assert theirs.cells["mae"].mean == pytest.approx(BASE[:19].mean() - 1)
    assert (theirs.seeds, theirs.splits, list(theirs.curve)) == (0, 1, [20])
    assert any(note.startswith("theirs has mae in 1 of 1 splits, on 19 of 20 tasks") for note in table.notes)
    assert "theirs.csv: not used: remark" in table.notes
    assert not any(row.mark for row in table.rows)
    assert next(one for one in table.judged if one.row == "theirs").comparison.difference == pytest.approx(-1)


def test_splits_by_seed_and_methods_by_name(runs, tmp_path):
    file = exported(
        [runs[0]], tmp_path / "many.csv", split=pl.lit(0), method=pl.concat_str(pl.lit("m"), pl.col("seed"))
    )
    (table,) = tabulate(runs, Judging(foreign=[file]))
    rows = {row.label: row for row in table.rows}
    assert {row.label for row in table.rows if row.kind == "imported"} == {"m0", "m1"}
    assert rows["m1"].cells["mae"].mean == pytest.approx(MODEL[1].mean())


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("user,mae\nu1,1\n", "has no column task; it has user, mae"),
        ("task,error\nu1,1\n", "has none of the runs' metrics mae, ndcg@5"),
        ("task,split,mae\nu1,0,1\nnobody,0,1\nx,0,1\ny,0,1\nz,0,1\n", "no test tasks of the runs: nobody, x, y and 1"),
        ("task,split,mae\nu1,1,1\n", "no test tasks of the runs: u1"),
        ("task,mae\nu1,1\n", "several of split: add a column split"),
        ("task,split,mae\nu1,7,1\n", "split=7: the runs have 0, 1"),
        ("task,split,mae\nu1,0,1\nu1,0,2\n", "several rows are about task u1"),
        ("task,split,mae\nu1,0,good\n", "mae of task u1 is no number: good"),
        ("task,split,shots,mae\nu1,0,3,1\n", "shots=3: the runs have 5, 20"),
        ("task,split,seed,mae\nu1,0,one,1\n", "seed of task u1 is no number: one"),
        ("task,split,method,mae\nu1,0,item_mean,1\n", "method item_mean is in the runs already"),
        ("", "cannot be read"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_refused_in_one_line(runs, tmp_path, text, said):
    (tmp_path / "theirs.csv").write_text(text)
    with pytest.raises(UserError) as error:
        tabulate(runs, Judging(foreign=[tmp_path / "theirs.csv"]))
    assert said in str(error.value)
    assert "\n" not in str(error.value)


def test_one_world_only(runs, make, config, tmp_path):
    other = find([make("other", config(), {"model": MODEL[0], "item_mean": BASE}, data="other")])[0]
    with pytest.raises(UserError, match="give runs of one data set and protocol; these are of 2"):
        tabulate([*runs, *other], Judging(foreign=[exported(runs, tmp_path / "theirs.csv")]))
