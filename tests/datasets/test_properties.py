"""Random tables with the usual defects: nothing is lost, ids stay what they are, and the format does not matter."""

import csv
import io
import json
import unicodedata

import polars as pl
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recmeta.datasets.table import table

ODD = st.text("aé\u030101 ,;\"'|\t-:", min_size=1, max_size=6)
IDS = st.one_of(st.sampled_from(["7", "007", "7.0", "1e5", "NA", "x", " x", "true", '"q"']), ODD).filter(str.strip)
LABELS = st.sampled_from([None, -1, 0, 1, 2.5, 5])
TIMES = st.integers(1_000_000_000, 1_000_000_003)
"""Few, so that there are ties."""

ROWS = st.lists(st.tuples(IDS, IDS, LABELS, TIMES), min_size=1, max_size=12).filter(
    lambda rows: any(label is not None for _, _, label, _ in rows)
)
WRITING = st.fixed_dictionaries(
    {
        "bom": st.booleans(),
        "end": st.sampled_from(["\n", "\r\n"]),
        "quoting": st.sampled_from([csv.QUOTE_ALL, csv.QUOTE_MINIMAL]),
        "empty": st.sampled_from(["", "NA", " ", "null"]),
        "blank_line": st.booleans(),
    }
)
HEADER = ("user", "item", "label", "time")


def cleaned(name: str) -> str:
    return unicodedata.normalize("NFC", name.strip())


def text(rows, header, separator, writing) -> bytes:
    """Rows as separated text, with the defects that are asked for."""
    written = io.StringIO(newline="")
    # In a file that tabs separate, quotes are quotes only where all of the header has them.
    quoting = csv.QUOTE_ALL if separator == "\t" else writing["quoting"]
    writer = csv.writer(written, delimiter=separator, lineterminator=writing["end"], quoting=quoting)
    writer.writerow(header)
    if writing["blank_line"]:
        written.write(writing["end"])
    writer.writerows([writing["empty"] if value is None else value for value in row] for row in rows)
    return ("\ufeff" * writing["bom"] + written.getvalue()).encode()


def write(folder, stem, rows, header, schema, writing):
    """The same rows in four formats: the paths."""
    paths = [folder / f"{stem}.{suffix}" for suffix in ("csv", "tsv", "jsonl", "parquet")]
    paths[0].write_bytes(text(rows, header, ",", writing))
    paths[1].write_bytes(text(rows, header, "\t", writing))
    lines = (json.dumps(dict(zip(header, row, strict=True))) for row in rows)
    paths[2].write_text("\n".join(lines) + "\n", encoding="utf-8")
    pl.DataFrame(rows, schema=dict(zip(header, schema, strict=True)), orient="row").write_parquet(paths[3])
    return paths


def check(folder, rows, years, writing):
    items = sorted({cleaned(item) for _, item, _, _ in rows})
    features = [(item, f"0{n % 3}", years[n % len(years)]) for n, item in enumerate(items)]
    kinds = {"code": {"kind": "categorical"}, "year": {"kind": "numeric"}}
    interactions = write(folder, "rows", rows, HEADER, (pl.String, pl.String, pl.Float64, pl.Int64), writing)
    items_files = write(
        folder, "items", features, ("item", "code", "year"), (pl.String, pl.String, pl.Float64), writing
    )
    kept = [(cleaned(user), cleaned(item)) for user, item, label, _ in rows if label is not None]
    hashes = set()
    for path, of_items in zip(interactions, items_files, strict=True):
        data = table(
            interactions=path, items=of_items, columns={"time": "time"}, unlabelled="drop", label_range=[-1, 5], like=4,
            item_features=kinds,
        )  # fmt: skip
        hashes.add(data.sha256)
        counts = data.counts
        assert counts["rows"] == len(rows)
        assert counts["unlabelled"] == len(rows) - len(kept)
        assert counts["interactions"] == len(set(kept)) == len(data.label)
        assert counts["rows"] == counts["interactions"] + counts["unlabelled"] + counts["duplicates"]
        assert set(data.users.ids.tolist()) == {user for user, _ in kept}
        pairs = zip(data.users.ids[data.user].tolist(), data.items.ids[data.item].tolist(), strict=True)
        assert set(pairs) == set(kept)
        assert counts["items_without_features"] == 0
        assert set(data.items.features["code"].values.tolist()) <= {"00", "01", "02"}
    assert len(hashes) == 1


YEARS = st.lists(st.sampled_from([None, 1990, 2001, 0.5]), min_size=1, max_size=3)
PROFILE = {"deadline": None, "database": None, "suppress_health_check": list(HealthCheck)}


@settings(max_examples=12, derandomize=True, **PROFILE)
@given(rows=ROWS, years=YEARS, writing=WRITING)
def test_tables_are_read_whole_and_alike_in_all_formats(tmp_path_factory, rows, years, writing):
    check(tmp_path_factory.mktemp("tables"), rows, years, writing)


@pytest.mark.slow
@settings(max_examples=400, **PROFILE)
@given(rows=ROWS, years=YEARS, writing=WRITING)
def test_many_tables(tmp_path_factory, rows, years, writing):
    """Beside the quick one: other tables at every run."""
    check(tmp_path_factory.mktemp("tables"), rows, years, writing)
