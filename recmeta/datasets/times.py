"""Read times: ISO dates and times, and numbers in several units, as seconds since 1970 (UTC)."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Literal, Protocol

import polars as pl

TimeUnit = Literal["s", "ms", "us", "ns", "days", "years", "yyyymmdd"]
"""Units of numbers: since 1970, but for years; ``yyyymmdd`` may go on with ``hhmmss``."""


class Timed(Protocol):
    """A file with a column of times: see `recmeta.datasets.sheet.Sheet`."""

    @property
    def dates(self) -> frozenset[str]:
        """Columns that the file itself has as dates."""
        ...

    def refuse(self, bad: pl.Series, column: str, problem: str) -> None:
        """Raise a `UserError` that names the first row where ``bad`` is true."""
        ...


PER_SECOND = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}

DAY = 86400

FIRST, LAST = 0, 4102444800
"""Seconds that are taken for what they are: 1970 up to 2100."""

LIKELY = (631152000, 2524608000)
"""Seconds of the years in which there have been recommenders, and for some time will be: 1990 up to 2050."""

SHARE = 0.99
"""The share of times that must be likely in a unit for it to be proposed."""

_ISO = (
    r"^(?<date>\d{4}[-/]\d{1,2}[-/]\d{1,2})"
    r"(?:[Tt ]+(?<clock>\d{1,2}:\d{2})(?<second>:\d{2})?(?:[.,]\d+)?)?"
    r"\s*(?:[Zz]|UTC|GMT|(?<sign>[+-])(?<hours>\d{2}):?(?<minutes>\d{2})?)?$"
)


_BASIC = r"^(\d{4})(\d{2})(\d{2})[Tt](\d{2})(\d{2})(\d{2})"
"""ISO's form without separators: 20240531T180000Z."""


def moments(text: pl.Series) -> pl.Series:
    """Convert ISO dates and times to whole seconds since 1970, with null for anything else.

    Fractions are dropped, offsets (``+02:00``, ``Z``) are heeded; without one a time is UTC.

    >>> moments(pl.Series(["1970-01-02", "1970-01-01T02:00:05.25+02:00", "1970/1/1 0:01", "soon"])).to_list()
    [86400, 5, 60, None]
    """
    text = text.str.strip_chars().str.replace(_BASIC, "${1}-${2}-${3} ${4}:${5}:${6}")
    parts = text.str.extract_groups(_ISO).struct.unnest()
    clock = pl.col("clock").fill_null("00:00") + pl.col("second").fill_null(":00")
    local = (pl.col("date").str.replace_all("/", "-", literal=True) + " " + clock).str.to_datetime(
        "%Y-%m-%d %H:%M:%S", strict=False, time_unit="us"
    )
    size = pl.col("hours").cast(pl.Int64) * 3600 + pl.col("minutes").cast(pl.Int64).fill_null(0) * 60
    offset = pl.when(pl.col("sign") == "-").then(-size).otherwise(size).fill_null(0)
    return parts.select((local.dt.epoch("s") - offset).alias(text.name)).to_series()


def in_unit(text: pl.Series, unit: TimeUnit) -> pl.Series:
    """Convert numbers in a unit to whole seconds since 1970, with null for anything else.

    >>> in_unit(pl.Series(["86400999", "x"]), "ms").to_list(), in_unit(pl.Series(["19700102"]), "yyyymmdd").to_list()
    ([86400, None], [86400])
    """
    bare = text.str.strip_chars()
    if unit == "yyyymmdd":
        parts = bare.str.extract_groups(r"^(\d{4})(\d{2})(\d{2})(?:(\d{2})(\d{2})(\d{2}))?(?:\.0*)?$").struct.unnest()
        parts.columns = ["year", "month", "day", "hour", "minute", "second"]
        date = pl.concat_str("year", "month", "day", separator="-")
        clock = pl.concat_str(*(pl.col(part).fill_null("00") for part in ("hour", "minute", "second")), separator=":")
        return moments(parts.select(pl.concat_str(date, clock, separator=" ").alias(text.name)).to_series())
    if unit == "years":
        return moments(bare.str.extract(r"^(\d{4})(?:\.0*)?$") + "-01-01")
    # Whole numbers by whole arithmetic: nanoseconds since 1970 have more digits than a float.
    whole = bare.cast(pl.Int64, strict=False)
    number = bare.cast(pl.Float64, strict=False)
    if unit == "days":
        whole, number = whole * DAY, number * DAY
    else:
        whole, number = whole // PER_SECOND[unit], number / PER_SECOND[unit]
    frame = pl.DataFrame({"whole": whole, "number": number.floor()})
    finite = pl.when(pl.col("number").is_finite()).then(pl.col("number")).cast(pl.Int64, strict=False)
    return frame.select(pl.coalesce("whole", finite).alias(text.name)).to_series()


def read_times(sheet: Timed, column: str, values: pl.Series, unit: TimeUnit | None) -> tuple[pl.Series, list[str]]:
    """Read a column of times.

    Args:
        sheet, column: of the values, for messages.
        values: text, null where empty.
        unit: of numbers; None: seconds, where they are likely to be.

    Returns:
        Whole seconds since 1970; and lines for the user, the first and the last date in one of them.

    Raises:
        UserError: a value that is no time, or numbers that another unit fits.
    """
    if column in sheet.dates:
        # The file itself says what they are.
        unit = None
    numbers = in_unit(values, unit or "s")
    dates = moments(values)
    seconds = pl.DataFrame({"number": numbers, "date": dates}).select(pl.coalesce("date", "number")).to_series()
    said = (
        f"is no time in dataset.time_unit={unit}" if unit else "is no time; give seconds, or a date such as 2024-05-31"
    )
    sheet.refuse(seconds.is_null(), column, said + ("" if unit else " or 2024-05-31 18:00:00"))
    early, odd = False, 0
    if unit is None:
        _check_likely(sheet, column, values, numbers, seconds)
        early = numbers.is_not_null().any() and int(numbers.max()) < LIKELY[0]  # pyright: ignore[reportArgumentType]
        odd = int((numbers < LIKELY[0]).sum())
    first, last = int(seconds.min()), int(seconds.max())  # pyright: ignore[reportArgumentType]
    notes = [f"time runs from {said_of(first)} to {said_of(last)} (UTC)"]
    if first == last:
        notes = [f"every row has the same time, {said_of(first)} (UTC): no order follows from it"]
    if early:
        notes.append(
            f"column {column!r} as seconds since 1970 ends so early: set dataset.time_unit if it is in another"
        )
    elif odd:
        value = values.filter(numbers < LIKELY[0])[0]
        notes.append(
            f"{odd:,} of {len(values):,} rows have a time before {said_of(LIKELY[0])}, as {value}: if that marks rows "
            "without a time, drop them with the cleaning step window (docs/cleaning.md)"
        )
    return seconds, notes


def _check_likely(sheet: Timed, column: str, values: pl.Series, numbers: pl.Series, seconds: pl.Series) -> None:
    """Refuse times that are not of the years 1970 to 2100, or numbers long ago, and propose the unit that fits.

    Args:
        sheet, column: of the values, for messages.
        values: as they are in the file.
        numbers: those that are numbers, as seconds; null for dates.
        seconds: all of them.
    """
    outside = (seconds < FIRST) | (seconds >= LAST)
    long_ago = numbers < LIKELY[0]
    if not outside.any() and not long_ago.fill_null(False).all():
        return
    unit = fitting(values)
    if unit is not None:
        found = in_unit(values, unit).drop_nulls()
        span = f"{said_of(int(found.min()))} to {said_of(int(found.max()))}"  # pyright: ignore[reportArgumentType]
        odd = outside if outside.any() else long_ago
        sheet.refuse(odd, column, f"is no likely time in seconds; dataset.time_unit={unit} gives {span}")
    problem = "is before 1970 or after 2100; correct it, or set dataset.time_unit, to s if it is right"
    sheet.refuse(outside, column, problem)


def fitting(values: pl.Series) -> TimeUnit | None:
    """Find the unit, other than seconds, in which nearly all numbers are of likely years; None without one."""
    units: tuple[TimeUnit, ...] = ("ms", "us", "ns", "yyyymmdd", "years", "days")
    for unit in units:
        likely = in_unit(values, unit).is_between(*LIKELY, closed="left").fill_null(False)
        if likely.mean() is not None and float(likely.mean()) >= SHARE:  # pyright: ignore[reportArgumentType]
            return unit
    return None


def said_of(seconds: int) -> str:
    """Return a time as text, without the clock at midnight.

    >>> said_of(0), said_of(86405)
    ('1970-01-01', '1970-01-02 00:00:05')
    """
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=seconds)
    except OverflowError:
        return f"{seconds} s"
    return moment.strftime("%Y-%m-%d" if seconds % DAY == 0 else "%Y-%m-%d %H:%M:%S")
