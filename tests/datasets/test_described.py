"""`python -m recmeta.datasets describe` of a user's own files."""

import pytest

from recmeta.datasets import __main__ as command
from recmeta.datasets.description import tied
from recmeta.datasets.named import load_typed
from recmeta.types import UserError

ROWS = "user,item,stars,t\n" + "".join(f"u{n % 3},i{n},{n % 6 - 1},{1_500_000_000 + n // 4}\n" for n in range(24))
SETTINGS = ["columns.label=stars", "dataset.columns.time=t"]


@pytest.fixture
def files(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "rows.csv").write_text(ROWS + "u0,i0,4,1500000000\n")
    (tmp_path / "items.csv").write_text("item,year,tags\n" + "".join(f"i{n},{1990 + n},a|b\n" for n in range(24)))
    return tmp_path


def test_describe_says_what_was_read_and_what_may_be_wrong(files, capsys):
    assert command.main(["describe", "rows.csv", "items=items.csv", *SETTINGS]) == 0
    said = capsys.readouterr().out.splitlines()
    for line in (
        "table: 25 rows are read",
        "count    duplicates: 1",
        "note     time runs from 2017-07-14 02:40:00 to 2017-07-14 02:40:05 (UTC)",
        "note     like is 2.75: three quarters up the label range",
        "label    -1 to 4, liked from 2.75: 37.5%",
        "label    -1 may mark rows without a label: 3 rows, 12.5%",
        "time     2017-07-14 02:40:00 to 2017-07-14 02:40:05 (UTC)",
        "ties     50.0% of rows share their second with another row of their user",
        "rows     per user: 8 to 8, median 8",
        "features items: tags (multi), year (numeric)",
        "feature  item.tags: multi, known of 100.0%, 2 words: a 24, b 24",
        "feature  item.year: numeric, known of 100.0%, 1990 to 2013",
    ):
        assert line in said
    assert said[-1].startswith("data     sha256 ")


def test_ties_are_counted_by_user(files):
    assert tied(load_typed(["rows.csv", *SETTINGS])) == 0.5


@pytest.mark.parametrize(
    ("typed", "said"),
    [
        (["none.csv"], r"none.csv: no such file"),
        (["rows.csv", "colums.label=stars"], r"dataset.colums: table has no such setting; it has interactions, users"),
        (["rows.csv", "like=much"], r"dataset.like=much: "),
        (["rows.csv", "items.csv"], r"name one file of interactions; others are settings, as items=movies.csv"),
        (["dataset=tabel", "a=1"], r"dataset=tabel: must be one of ml_100k"),
        (["rows.csv"], r"no columns? 'label' \(dataset.columns.label\); .*perhaps dataset.columns.label=stars"),
        (["tiny"], r"no data set 'tiny'; there are"),
    ],
)
def test_mistakes_end_in_one_line(files, capsys, typed, said):
    assert command.main(["describe", *typed]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    with pytest.raises(UserError, match=said):
        raise UserError(line)
