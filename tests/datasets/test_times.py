"""Times: ISO forms, units, and numbers that are unlikely to be seconds."""

import polars as pl
import pytest

from recmeta.cleaning.rules import window
from recmeta.datasets.table import table
from recmeta.types import UserError

AT = 1536828251  # 2018-09-13 08:44:11


@pytest.fixture
def read(tmp_path):
    """``read(times, **settings)``: the data set with these times, a row each."""

    def read(times, **settings):
        path = tmp_path / "rows.csv"
        rows = (f'u,i{n},{n % 5},"{time}"\n' for n, time in enumerate(times))
        path.write_text("user,item,label,time\n" + "".join(rows))
        return table(interactions=path, columns={"time": "time"}, label_range=[0, 5], like=4, **settings)

    return read


@pytest.mark.parametrize(
    "text",
    [
        "1536828251", "1536828251.9", "1.536828251e9", " 1536828251 ", "2018-09-13 08:44:11", "2018-09-13T08:44:11Z",
        "2018-09-13 08:44:11.850", "2018-09-13T10:44:11+02:00", "2018-09-13T10:44:11.5+0200",
        "2018-09-13 03:14:11 -0530", "2018-09-13T08:44:11,999999999Z",
        "2018-09-13 08:44:11 UTC", "2018/09/13 08:44:11", "2018-09-13T10:44:11+02",
        "2018-9-13 8:44:11", "2018/9/13 8:44:11", "20180913T084411Z", "20180913T104411+0200",
    ],
)  # fmt: skip
def test_one_moment_in_many_forms(read, text):
    assert read([text]).time.tolist() == [AT]


@pytest.mark.parametrize(("text", "seconds"), [("2018-09-13", 1536796800), ("2018-09-13 08:44", AT - 11)])
def test_less_than_seconds(read, text, seconds):
    assert read([text]).time.tolist() == [seconds]


@pytest.mark.parametrize(
    "text", ["soon", "2018-02-30", "2018-09-13 25:00:00", "13.09.2018", "nan", "inf", "", "09/13/2018"]
)
def test_what_is_no_time(read, text):
    with pytest.raises(UserError, match=r"rows.csv, line 3, column 'time': '.*' is no time; give seconds, or a date"):
        read([AT, text])


UNITS = [
    ("ms", AT * 1000 + 999), ("us", AT * 10**6 + 1), ("ns", AT * 10**9 + 999999999), ("yyyymmdd", 20180913),
    ("yyyymmdd", "20180913084411"), ("years", 2018), ("days", 17787),
]  # fmt: skip


@pytest.mark.parametrize(("unit", "number"), UNITS)
def test_units(read, unit, number):
    seconds = read([number], time_unit=unit).time.tolist()[0]
    assert seconds == {"years": 1514764800, "days": 17787 * 86400}.get(unit, 1536796800 if number == 20180913 else AT)


@pytest.mark.parametrize(("unit", "number"), UNITS)
def test_numbers_that_another_unit_fits_are_refused(read, unit, number):
    with pytest.raises(UserError, match=rf"line 2, column 'time': .*dataset.time_unit={unit} gives 2018-"):
        read([number, number])
    if unit not in ("yyyymmdd", "ms"):
        assert read([number], time_unit="s").time is not None


@pytest.mark.parametrize("number", [-1, 5 * 10**9, "1950-01-01", "2999-12-31"])
def test_a_number_outside_the_years_is_refused(read, number):
    with pytest.raises(UserError, match=r"line 3, column 'time': .* is before 1970 or after 2100; correct it"):
        read([AT, number, AT])


def test_small_numbers_that_are_an_order_are_taken_and_noted(read):
    data = read([0, 1, 2])
    assert data.time.tolist() == [0, 1, 2]
    assert any("as seconds since 1970 ends so early" in note for note in data.notes)


def test_the_first_and_the_last_date_are_noted(read):
    assert "time runs from 2018-09-13 08:44:11 to 2018-09-14 (UTC)" in read([AT, "2018-09-14"]).notes
    assert any("every row has the same time" in note for note in read([AT, AT]).notes)


def test_the_cleaning_step_reads_what_the_column_reads(read):
    data = read([AT, AT + 1])
    for since in ("2018-09-13T10:44:12+02:00", "2018-09-13 08:44:12.5", "2018/09/13 08:44:12", AT + 1):
        assert window(data, since=since).time.tolist() == [AT + 1]
    with pytest.raises(UserError, match=r"since=13.9.2018: give seconds since 1970, or a date"):
        window(data, since="13.9.2018")


def test_dates_of_parquet_need_no_unit(tmp_path):
    """A unit that is set is for numbers: a date says itself what it is."""
    at = pl.Series([AT, AT + 1]) * 1000
    frame = pl.DataFrame({"user": ["u", "u"], "item": ["a", "b"], "label": [1, 2], "time": at.cast(pl.Datetime("ms"))})
    frame.write_parquet(tmp_path / "rows.parquet")
    data = table(interactions=tmp_path / "rows.parquet", columns={"time": "time"}, time_unit="ms")
    assert data.time is not None
    assert data.time.tolist() == [AT, AT + 1]


@pytest.mark.parametrize("mark", [0, -0.0, 5])
def test_times_that_may_mark_none_are_noted(read, mark):
    assert not any("without a time" in note for note in read([AT, AT + 1]).notes)
    notes = read([AT, mark, AT + 1]).notes
    assert any(note.startswith("1 of 3 rows have a time before 1990-01-01, as ") for note in notes)


def test_a_column_of_times_that_is_not_read_is_noted(tmp_path):
    (tmp_path / "rows.csv").write_text(f"user,item,label,TimeStamp\na,x,1,{AT}\nb,y,2,{AT}\n")
    note = "column 'TimeStamp' is not read: set dataset.columns.time=TimeStamp if it is the time of a row"
    assert note in table(interactions=tmp_path / "rows.csv").notes
    assert note not in table(interactions=tmp_path / "rows.csv", columns={"time": "TimeStamp"}).notes
