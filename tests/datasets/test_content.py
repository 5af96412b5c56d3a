"""Compressed files, zips, encodings, and what is no file."""

import bz2
import gzip
import lzma

import pytest

from recmeta.datasets import content
from recmeta.datasets.content import lines_of
from recmeta.datasets.sheet import read_sheet
from recmeta.types import UserError
from tests.datasets.test_sheet import layout, sheet

TEXT = "a,b\n1,é\n"


@pytest.mark.parametrize(("suffix", "pack_"), [("gz", gzip.compress), ("bz2", bz2.compress), ("xz", lzma.compress)])
def test_compressed_files(tmp_path, suffix, pack_):
    assert sheet(tmp_path, pack_(TEXT.encode()), f"data.csv.{suffix}").frame.rows() == [("1", "é")]
    with pytest.raises(UserError, match=f"data.csv.{suffix}: the file is cut off or damaged|cannot be read"):
        sheet(tmp_path, pack_(TEXT.encode() * 99)[:-9], f"data.csv.{suffix}")


def test_zips(pack):
    one = pack({"data/ratings.csv": TEXT, "__MACOSX/data/._ratings.csv": b"\0", "data/.DS_Store": b"\0"})
    assert read_sheet(one).frame.rows() == [("1", "é")]
    several = pack({"a/ratings.csv": TEXT, "a/movies.csv": "c,d\n1,2\n"}, "several.zip")
    assert read_sheet(several / "a/ratings.csv").frame.rows() == [("1", "é")]
    with pytest.raises(
        UserError, match=r"several.zip: holds 2 files; name one as .*several.zip/FILE: a/ratings.csv, a/mov"
    ):
        read_sheet(several)
    packed = pack({"ratings.csv.gz": gzip.compress(TEXT.encode())}, "packed.zip")
    assert read_sheet(packed).frame.rows() == [("1", "é")]
    with pytest.raises(UserError, match=r"several.zip: no file 'b.csv' in it; name one as"):
        read_sheet(several / "b.csv")


def test_a_zip_that_is_none(tmp_path):
    with pytest.raises(UserError, match=r"data.zip"):
        sheet(tmp_path, b"PK\x03\x04 no", "data.zip")


def test_a_folder_is_said_to_be_one(tmp_path):
    (tmp_path / "b.csv").touch()
    (tmp_path / "a.csv").touch()
    with pytest.raises(UserError, match=r"is a folder, not a file; name a file in it: a.csv, b.csv$"):
        read_sheet(tmp_path)


@pytest.mark.parametrize(
    ("encoding", "setting"),
    [("latin-1", "latin-1"), ("cp1252", "cp1252"), ("utf-16", None), ("utf-16-le", "utf-16-le")],
)
def test_encodings(tmp_path, encoding, setting):
    assert sheet(tmp_path, TEXT.encode(encoding), encoding=setting).frame.rows() == [("1", "é")]


def test_a_wrong_encoding_is_refused(tmp_path):
    with pytest.raises(UserError, match=r"data.csv, line 2: not UTF-8 text; .* set dataset.encoding, such as latin-1"):
        sheet(tmp_path, TEXT.encode("latin-1"))
    with pytest.raises(UserError, match=r"data.csv: not text in dataset.encoding=ascii"):
        sheet(tmp_path, TEXT.encode("latin-1"), encoding="ascii")


def test_blocks_join(tmp_path, monkeypatch):
    data = b"".join(b"line %d\n" % n for n in range(50))
    whole = lines_of(tmp_path, data, None)
    monkeypatch.setattr(content, "BLOCK", 64)
    assert lines_of(tmp_path, data, None).equals(whole)
    assert whole.to_list() == [*(f"line {n}" for n in range(50)), ""]
    assert layout().encoding is None
