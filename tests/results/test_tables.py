"""Numbers in tables, against independent computation."""

import numpy as np
import polars as pl
import pytest
from scipy import stats

from recmeta.results.judging import Judging
from recmeta.results.runs import find
from recmeta.results.tables import tabulate as tables_of
from recmeta.statistics import benjamini_hochberg, paired
from recmeta.statistics.spread import spread as spread_of
from recmeta.statistics.trainings import luck_of_splits
from recmeta.types import UserError

NAN = float("nan")
RNG = np.random.default_rng(0)
BASE = RNG.normal(1, 0.3, 20)
AGAINST = "verdicts are against item_mean, the best baseline by mae on meta-validation"


def tabulate(runs, **how):
    return tables_of(runs, Judging(**how))


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
    assert table.notes == [AGAINST]


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
        said = "p < 0.001 by Holm over 3" if holm < 0.001 else f"p = {holm:.3f} by Holm over 3"
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
    per_user = [[*first[0][:10]], [*(first[0][10:] + second[0][:10]) / 2], [*second[0][10:]]]
    assert row.cells["mae"].mean == pytest.approx(np.concatenate(per_user).mean())
    difference = np.full((2, 30), NAN)
    difference[0, :20], difference[1, 10:] = first[0] - BASE, second[0] - BASE - 1
    per_user = np.nanmean(difference, axis=0)
    # Over tasks and two trainings, which differ: by 0.2 in one split and by 1.1 in the other.
    luck = luck_of_splits([first[0] - BASE, second[0] - BASE - 1], np.full(2, 0.5))
    error = spread_of(per_user, luck)
    (judged,) = table.judged
    assert judged.comparison.difference == pytest.approx(per_user.mean())
    assert judged.comparison.p == pytest.approx(error.p(abs(per_user.mean())))
    assert judged.comparison.p > 0.05 > stats.ttest_1samp(per_user, 0).pvalue
    assert "over tasks and 2 trainings" in table.verdicts[0]


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
        AGAINST, "learner=ridge has mae in 1 of 1 splits, on 17 of 20 tasks"
    ]  # fmt: skip
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
    with pytest.raises(UserError, match="--metric auc: the runs have mae, ndcg@5"):
        tabulate(runs, metric="auc")
    with pytest.raises(UserError, match=r"--shots 7: .* has 5, 20"):
        tabulate(runs, shots=7)
    other = find([make("b", config("maml"), {"model": BASE}, metric="auc")])[0]
    with pytest.raises(UserError, match="judged by mae, auc"):
        tabulate([*runs, *other])


def test_the_headline_is_the_protocols(make, config):
    settings = config()
    settings["protocol"]["episodes"]["headline"] = 5
    (table,) = tabulate(find([make("a", settings, {"model": BASE, "item_mean": BASE})])[0])
    assert table.heading.endswith("K = 5")


def test_splits_do_not_widen_intervals(make, config):
    """Eight splits of 40 users in all, 10 in each: as wide as the interval of what each user has on average."""
    rng = np.random.default_rng(3)
    of_user, paths, all_values = rng.normal(1, 0.3, 40), [], {}
    for split in range(8):
        users = rng.permutation(40)[:10]
        values = of_user[users] + rng.normal(0, 0.1, 10)
        for user, value in zip(users, values, strict=True):
            all_values.setdefault(user, []).append(value)
        scores = {"model": values, "item_mean": values + 1}
        paths.append(make(f"s{split}", config(split=split), scores, tasks=users.tolist()))
    (table,) = tabulate(find(paths)[0])
    cell = rows(table)["learner=ridge"].cells["mae"]
    means = np.array([np.mean(values) for values in all_values.values()])
    half = 1.96 * means.std() / np.sqrt(len(means))
    assert cell.mean == pytest.approx(means.mean())
    assert cell.hi - cell.lo == pytest.approx(2 * half, rel=0.06)


def test_the_best_baseline_is_the_users(make, config):
    """The first user is in both splits: by rows "b" is better, by users "a" is."""
    paths = [
        make("s0", config(split=0), {"model": [0.1, 0.2], "a": [2, 2], "b": [0.5, 3.0]}, tasks=[0, 1]),
        make("s1", config(split=1), {"model": [0.1, 0.2], "a": [2, 2], "b": [0.5, 4.2]}, tasks=[0, 2]),
    ]
    (table,) = tabulate(find(paths)[0])
    means = {label: row.cells["mae"].mean for label, row in rows(table).items()}
    assert means["b"] == pytest.approx((0.5 + 3.0 + 4.2) / 3)
    assert means["b"] > means["a"] > (0.5 + 0.5 + 3.0 + 4.2) / 4 - 0.1
    assert table.judged[0].reference == "a"
    assert rows(table)["b"].curve[20] == means["b"]


def test_raw_and_fitted_points_are_in_two_tables(make, config):
    values = {"model": shifted(-0.2), "item_mean": BASE}
    paths = [make(point, config() | {"point": point}, values) for point in ("raw", "fitted")]
    headings = [table.heading for table in tabulate(find(paths)[0])]
    assert ["point=fitted" in heading for heading in sorted(headings)] == [True, False]


def test_the_rival_is_the_best_on_meta_validation(make, config):
    """Of two baselines the one that was better there, though the other is better on the test tasks."""
    scores = {"model": shifted(-0.2), "a": BASE + 0.1, "b": BASE}
    chosen = {"shots": [5, 20], "baselines": {"a": {"mae": [1.0, 0.7]}, "b": {"mae": [0.9, 0.8]}}}
    path = make("s0", config(), scores, chosen=chosen)
    (table,) = tabulate(find([path])[0])
    assert {one.reference for one in table.judged} == {"a"}
    assert table.notes[0] == "verdicts are against a, the best baseline by mae on meta-validation"
    (table,) = tabulate(find([path])[0], shots=5)
    assert {one.reference for one in table.judged} == {"b"}
    other = make(
        "s1",
        config(split=1),
        scores,
        chosen={"shots": [5, 20], "baselines": {"a": {"mae": [1, 0.95]}, "b": {"mae": [1, 0.8]}}},
    )
    (table,) = tabulate(find([path, other])[0])
    assert {one.reference for one in table.judged} == {"b"}  # 0.8 over both splits, against 0.825


def test_the_rival_by_another_metric_is_the_best_by_that_metric_on_meta_validation(make, config):
    """Runs chosen by mae, tabulated by ndcg@5: no rival is best by mae, or by ndcg@5 on the test tasks."""
    scores = {"model": shifted(-0.2), "by_mae": BASE, "by_ndcg": BASE + 0.1}
    chosen = {
        "shots": [5, 20],
        "baselines": {
            "by_mae": {"mae": [1.0, 0.7], "ndcg@5": [0.6, 0.6]},
            "by_ndcg": {"mae": [1.0, 0.8], "ndcg@5": [0.6, 0.7]},
        },
    }
    ndcg = {"model": 0.9, "by_mae": 0.8, "by_ndcg": 0.5}
    path = make("s0", config(), scores, chosen=chosen, extra=lambda method, value: ndcg[method] + value / 100)
    for metric, rival in (("mae", "by_mae"), ("ndcg@5", "by_ndcg")):
        (table,) = tabulate(find([path])[0], metric=metric)
        assert {one.reference for one in table.judged} == {rival}
        assert table.notes[0] == f"verdicts are against {rival}, the best baseline by {metric} on meta-validation"


def test_runs_that_do_not_say_what_is_best_on_meta_validation_are_said_to_be(make, config):
    (table,) = tabulate(
        find([make("s0", config(), {"model": shifted(-0.2), "a": BASE + 0.1, "b": BASE}, chosen={})])[0]
    )
    assert {one.reference for one in table.judged} == {"b"}
    assert "on the TEST tasks" in table.notes[0]


def test_what_training_reads_tells_rows_apart_not_tables(make, config):
    """Other training shots, and other meta-validation draws, which change the split's hash: one table, paired."""
    many, draws = config(), config(split=0)
    many["protocol"]["episodes"] |= {"train_shots": [5], "validation_draws": 4}
    draws["protocol"]["episodes"] |= {"train_shots": None, "validation_draws": 8}
    values = {"model": shifted(-0.2), "item_mean": BASE}
    other = {"model": shifted(-0.3), "item_mean": BASE}
    paths = [make("a", many, values, protocol="x"), make("b", draws, other, protocol="y")]
    (table,) = tabulate(find(paths)[0])
    labels = [row.label for row in table.rows]
    assert labels[:2] == ["protocol.episodes.train_shots=null", "protocol.episodes.train_shots=[5]"]
    assert [row.splits for row in table.rows] == [1, 1, 1]
    assert [one.comparison.n for one in table.judged] == [20, 20]
    assert not [note for note in table.notes if "splits" in note]
    moved = {"model": shifted(-0.3), "item_mean": BASE + 0.5}
    (table,) = tabulate(find([paths[0], make("c", draws, moved, protocol="z")])[0])
    assert any("disagree, by up to 0.500 mae" in note for note in table.notes)
    draws["protocol"]["episodes"]["headline"] = 5
    with pytest.raises(UserError, match="headlines differ \\(5, 20\\): give --shots"):
        tabulate(find([paths[0], make("d", draws, other)])[0])


def test_different_code_is_said(make, config):
    paths = [
        make("a", config(split=0), {"model": shifted(-0.1), "item_mean": BASE}, code="c0de0000aa"),
        make("b", config(split=1), {"model": shifted(-0.1), "item_mean": BASE}, code="c0de1111bb"),
        make("c", config("maml"), {"model": shifted(-0.1), "item_mean": BASE}, code="c0de0000aa"),
    ]
    (table,) = tabulate(find(paths)[0])
    pooled = "runs of different code (c0de0000, c0de1111) are pooled in one row: learner=ridge, the baselines"
    assert pooled in table.notes
    assert not [note for note in tabulate(find(paths[::2])[0])[0].notes if "code" in note]


def test_goals(make, config):
    """As the runs say, or the user."""
    (path,) = [make("a", config(), {"model": BASE - 1, "item_mean": BASE}, metric="regret")]
    frame = pl.read_parquet(path / "task_scores.parquet").rename({"mae": "regret", "ndcg@5": "serendipity"})
    frame.write_parquet(path / "task_scores.parquet")
    runs = find([path])[0]
    assert tabulate(runs)[0].goal == "min"
    assert tabulate(runs, metric="regret:max")[0].rows[0].label == "item_mean"
    with pytest.raises(UserError, match="serendipity: give its goal: serendipity:min or serendipity:max"):
        tabulate(runs, metric="serendipity")


@pytest.mark.parametrize("test", ["wilcoxon", "permutation"])
def test_other_tests_and_corrections(make, config, test):
    models = {"maml": shifted(-0.045), "ridge": shifted(-0.05), "reptile": shifted(0.02)}
    paths = [make(n, config(n), {"model": v, "item_mean": BASE, "random": BASE + 2}) for n, v in models.items()]
    (table,) = tabulate(find(paths)[0], test=test, correction="bh")
    expected = {f"learner={name}": paired(values[0] - BASE, test) for name, values in models.items()}
    corrected = benjamini_hochberg([one.p for one in expected.values()])
    for one, raw, p in zip(table.judged, expected.values(), corrected, strict=True):
        assert one.comparison.p == pytest.approx(raw.p)
        assert one.p == pytest.approx(p)
        assert "by Benjamini-Hochberg over 3" in one.text


def test_against_a_row_of_ones_own_choice(make, config):
    models = {"maml": shifted(-0.045), "ridge": shifted(-0.05)}
    paths = [make(n, config(n), {"model": v, "item_mean": BASE, "random": BASE + 2}) for n, v in models.items()]
    (table,) = tabulate(find(paths)[0], against="random")
    assert {one.reference for one in table.judged} == {"random"}
    assert [one.row for one in table.judged] == ["learner=maml", "learner=ridge"]
    (table,) = tabulate(find(paths)[0], against="learner=maml")
    assert [(one.row, one.reference) for one in table.judged] == [("learner=ridge", "learner=maml")]
    with pytest.raises(UserError, match="--against bias: no such row; there are "):
        tabulate(find(paths)[0], against="bias")


@pytest.mark.parametrize("by", ["activity", "shots"])
def test_buckets(make, config, by):
    path = make("a", config(), {"model": np.stack([shifted(-0.2)[0]]), "item_mean": BASE})
    frame = pl.read_parquet(path / "task_scores.parquet")
    frame = frame.with_columns(activity=pl.col("task").str.slice(1).cast(pl.Int64) * 10)
    frame.write_parquet(path / "task_scores.parquet")
    (table,) = tabulate(find([path])[0], by=by)
    made = table.bucketed
    if by == "shots":
        assert list(made.tasks) == ["K = 5", "K = 20"]
        assert made.cells["item_mean"]["K = 5"].mean == pytest.approx(BASE.mean() + 0.5)
        assert made.cells["item_mean"]["K = 20"] == rows(table)["item_mean"].cells["mae"]
    else:
        assert made.tasks == {"0 … 60": 7, "70 … 120": 6, "130 … 190": 7}
        for label, row in rows(table).items():
            total = sum(made.cells[label][bucket].mean * tasks for bucket, tasks in made.tasks.items())
            assert total / 20 == pytest.approx(row.cells["mae"].mean)
        first = stats.ttest_1samp((shifted(-0.2)[0] - BASE)[:7], 0)
        assert made.judged[0].comparison.p == pytest.approx(first.pvalue)
        assert [one.family for one in made.judged] == [3] * 3
    with pytest.raises(UserError, match=r"--by mood: .* has activity, n_query, shots"):
        tabulate(find([path])[0], by="mood")


def test_a_row_marked_alike_whose_verdict_names_a_difference_is_explained(make, config):
    """Twelve rows of noise make ≈ generous, while one verdict alone is not corrected."""
    rng = np.random.default_rng(3)
    noise = {f"b{number}": BASE + 1 + rng.normal(0, 0.4, 20) for number in range(12)}
    wave = np.where(np.arange(20) % 2, 0.04, -0.04)
    path = make("a", config(), {"model": BASE + 0.022 + wave, "item_mean": BASE} | noise)
    (table,) = tabulate(find([path])[0])
    marks = {row.label: row.mark for row in table.rows}
    assert (marks["learner=ridge"], marks["item_mean"]) == ("≈", "best")
    assert table.verdicts[0].endswith("worse")
    assert any(note.startswith("learner=ridge: ≈, and yet the verdict names a difference") for note in table.notes)
    path = make("b", config(), {"model": BASE + 0.2 + wave, "item_mean": BASE} | noise)
    (table,) = tabulate(find([path])[0])
    assert not any("≈, and yet" in note for note in table.notes)
