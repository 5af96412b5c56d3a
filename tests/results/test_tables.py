"""Numbers in tables, against independent computation."""

import numpy as np
import pytest
from scipy import stats

from recmeta.results.runs import find
from recmeta.results.tables import tabulate
from recmeta.types import UserError

NAN = float("nan")
RNG = np.random.default_rng(0)
BASE = RNG.normal(1, 0.3, 20)


def shifted(by, seeds=1, spread=0.1):
    return BASE + by + np.random.default_rng(abs(int(100 * by)) + seeds).normal(0, spread, (seeds, 20))


def rows(table):
    return {row.label: row for row in table.rows}


def test_numbers_order_and_marks(make, config):
    near, far = shifted(-0.01, seeds=2), shifted(-0.5)
    baselines = {"item_mean": BASE, "popularity": np.full(20, NAN), "random": BASE + 2}
    paths = [
        make("near", config("maml", seeds=(3, 4)), {"model": near} | baselines),
        make("far", config("ridge"), {"model": far} | baselines),
    ]
    (table,) = tabulate(find(paths)[0])
    found = rows(table)
    assert next(iter(found)) == "learner=ridge"
    assert list(found)[-2:] == ["random", "popularity"]
    assert set(list(found)[1:3]) == {"learner=maml", "item_mean"}
    assert found["learner=maml"].cells["mae"].mean == pytest.approx(near.mean())
    assert found["learner=maml"].cells["mae"].lo < near.mean() < found["learner=maml"].cells["mae"].hi
    assert np.isnan(found["popularity"].cells["mae"].mean)
    assert (found["learner=maml"].tasks, found["learner=maml"].seeds, found["learner=maml"].splits) == (20, 2, 1)
    assert (found["item_mean"].tasks, found["item_mean"].seeds, found["item_mean"].splits) == (20, 0, 1)
    assert found["learner=maml"].curve == pytest.approx({5: near.mean() + 0.5, 20: near.mean()})
    assert {row.label: row.mark for row in table.rows if row.mark} == {"learner=ridge": "best"}
    assert table.heading == "dataset=tiny protocol=user_cold (data data0): user_cold, K = 20"
    assert not table.notes


def test_what_is_not_distinguishable_from_the_best_is_marked(make, config):
    path = make("a", config(), {"model": shifted(0.0), "item_mean": BASE + 0.001, "random": BASE + 2})
    (table,) = tabulate(find([path])[0])
    marks = {row.label: row.mark for row in table.rows}
    assert sorted((marks["learner=ridge"], marks["item_mean"])) == ["best", "≈"]
    assert marks["random"] == ""


def test_verdicts_are_corrected_for_the_number_of_learners(make, config):
    models = {"maml": shifted(-0.045), "ridge": shifted(-0.05), "reptile": shifted(0.02)}
    paths = [make(n, config(n), {"model": v, "item_mean": BASE, "random": BASE + 2}) for n, v in models.items()]
    (table,) = tabulate(find(paths)[0])
    raw = [stats.ttest_1samp(values[0] - BASE, 0).pvalue for values in models.values()]
    for name, p in zip(models, raw, strict=True):
        smaller = sorted(raw).index(p)
        holm = min(1, max(q * (3 - i) for i, q in enumerate(sorted(raw)) if i <= smaller))
        line = next(line for line in table.verdicts if line.startswith(f"learner={name}: "))
        said = "p (Holm over 3) < 0.001" if holm < 0.001 else f"p (Holm over 3) = {holm:.3f}"
        assert said in line
        assert ("not distinguishable from item_mean" in line) == (holm >= 0.05)
    (alone,) = tabulate(find(paths[:1])[0])
    assert "Holm" not in alone.verdicts[0]


def test_splits_are_one_row_paired_within_each(make, config):
    first, second = shifted(-0.2), shifted(-0.1)
    paths = [
        make("s0", config(split=0), {"model": first, "item_mean": BASE}),
        make("s1", config(split=1), {"model": second, "item_mean": BASE + 1}, tasks=range(10, 30)),
    ]
    (table,) = tabulate(find(paths)[0])
    row = rows(table)["learner=ridge"]
    assert (row.tasks, row.splits) == (30, 2)
    assert row.cells["mae"].mean == pytest.approx(np.concatenate([first[0], second[0]]).mean())
    difference = np.full((2, 30), NAN)
    difference[0, :20], difference[1, 10:] = first[0] - BASE, second[0] - BASE - 1
    per_user = np.nanmean(difference, axis=0)
    test = stats.ttest_1samp(per_user, 0)
    assert f"below item_mean by {-per_user.mean():.3f} MAE" in table.verdicts[0]
    assert ("p < 0.001" in table.verdicts[0]) == (test.pvalue < 0.001)


def test_a_learner_on_fewer_splits_is_said(make, config):
    paths = [
        make("s0", config("maml", split=0), {"model": shifted(-0.2), "item_mean": BASE + 0.1}),
        make("s1", config("maml", split=1), {"model": shifted(-0.1), "item_mean": BASE}),
        make("other", config("ridge", split=1), {"model": shifted(-0.3), "item_mean": BASE}),
    ]
    (table,) = tabulate(find(paths)[0])
    assert any(note.startswith("learner=ridge has mae in 1 of 2 splits, on 20 of 40 tasks") for note in table.notes)
    assert rows(table)["learner=maml"].splits == 2
    assert not any(row.mark for row in table.rows)
    difference = (shifted(-0.3) - BASE).mean()
    assert f"learner=ridge: below item_mean by {-difference:.3f} MAE" in "".join(table.verdicts)


def test_a_learner_without_a_value_on_some_tasks_is_said(make, config):
    values = shifted(0.1)
    values[0, :3] = NAN
    (table,) = tabulate(find([make("a", config(), {"model": values, "item_mean": BASE})])[0])
    assert [note.partition(":")[0] for note in table.notes] == [
        "learner=ridge has mae in 1 of 1 splits, on 17 of 20 tasks"
    ]
    assert rows(table)["learner=ridge"].cells["mae"].mean == pytest.approx(np.nanmean(values))


def test_different_data_or_protocol_are_different_tables(make, config):
    scores = {"model": shifted(0.1), "item_mean": BASE}
    timed = config()
    timed["protocol"]["order"] = "time"
    paths = [
        make("a", config(), scores),
        make("b", config(), scores, data="data1"),
        make("c", timed, scores, protocol="p"),
    ]
    tables = tabulate(find(paths)[0])
    assert [table.heading.partition(":")[0] for table in tables] == [
        "dataset=tiny protocol=user_cold protocol.order=absent (data data0)",
        "dataset=tiny protocol=user_cold protocol.order=absent (data data1)",
        "dataset=tiny protocol=user_cold protocol.order=time (data data0)",
    ]


def test_runs_that_disagree_are_said(make, config):
    paths = [
        make("a", config("maml"), {"model": shifted(0.1), "item_mean": BASE}),
        make("b", config("ridge"), {"model": shifted(0.2), "item_mean": BASE + 0.25}),
        make("c", config("joint"), {"model": shifted(0.2), "item_mean": BASE}, protocol="another"),
    ]
    (table,) = tabulate(find(paths)[0])
    disagreement = next(note for note in table.notes if note.startswith("item_mean: runs of the same split disagree"))
    assert "0.250 mae" in disagreement
    assert f"{paths[0]}, {paths[1]}" in disagreement
    assert any(note.startswith("protocol.seed=0 made 2 splits (split0, another)") for note in table.notes)
    assert rows(table)["item_mean"].cells["mae"].mean == pytest.approx(BASE.mean())


def test_baselines_alone_and_learner_alone(make, config):
    (alone,) = tabulate(find([make("a", config(None), {"item_mean": BASE, "random": BASE + 1})])[0])
    assert ([row.label for row in alone.rows], alone.verdicts) == (["item_mean", "random"], [])
    (bare,) = tabulate(find([make("b", config("maml"), {"model": BASE})])[0])
    assert bare.rows[0].mark == ""
    assert "no baseline with mae: nothing is marked and no verdict is possible" in bare.verdicts[0]


def test_another_metric_and_support_size(make, config):
    extra = {"extra": lambda method, value: {"model": 0.9, "item_mean": 0.5, "random": 0.1}[method] + value / 100}
    path = make("a", config(), {"model": BASE, "item_mean": BASE, "random": BASE}, **extra)
    runs, _ = find([path])
    (table,) = tabulate(runs, metric="ndcg@5", shots=5)
    assert [row.label for row in table.rows] == ["learner=ridge", "item_mean", "random"]
    assert table.rows[0].cells["ndcg@5"].mean == pytest.approx(0.9 + BASE.mean() / 100)
    assert table.rows[0].cells["mae"].mean == pytest.approx(BASE.mean() + 0.5)
    assert "above item_mean by 0.400 NDCG@5" in table.verdicts[0]
    with pytest.raises(UserError, match=r"--metric auc: .* has mae, ndcg@5"):
        tabulate(runs, metric="auc")
    with pytest.raises(UserError, match=r"--shots 7: .* has 5, 20"):
        tabulate(runs, shots=7)
    other = find([make("b", config("maml"), {"model": BASE}, metric="auc")])[0]
    with pytest.raises(UserError, match="judged by mae, auc"):
        tabulate([*runs, *other])


def test_the_headline_is_the_protocols(make, config):
    settings = config()
    settings["protocol"]["headline"] = 5
    (table,) = tabulate(find([make("a", settings, {"model": BASE, "item_mean": BASE})])[0])
    assert table.heading.endswith("K = 5")
