import functools
import hashlib
import http.server
import sys
import threading
import zipfile

import pytest

from recmeta.datasets.fetch import Archive, Wheel, cache_directory, cached, fetch
from recmeta.types import UserError

METADATA = "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n"
TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECMETA_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tiny"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that pip looks in, and nowhere else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


@pytest.fixture
def address(tmp_path):
    """Serves a folder over HTTP on this machine."""
    folder = tmp_path / "served"
    folder.mkdir()
    (folder / "tiny.zip").write_bytes(b"the archive")
    quiet = type("Quiet", (http.server.SimpleHTTPRequestHandler,), {"log_message": lambda *_: None})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(quiet, directory=folder)) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}/tiny.zip"
        server.shutdown()
        thread.join()


def archive(url, content=b"the archive"):
    return Archive(url, "tiny.zip", hashlib.sha256(content).hexdigest(), len(content))


def wheel(folder):
    path = folder / "tinydata-1.0-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as members:
        members.writestr("tinydata/rows.tsv", "1\t2\n")
        members.writestr("tinydata-1.0.dist-info/METADATA", METADATA)
        members.writestr("tinydata-1.0.dist-info/WHEEL", TAGS)
        members.writestr("tinydata-1.0.dist-info/RECORD", "")
    content = path.read_bytes()
    return Wheel("tinydata==1.0", path.name, hashlib.sha256(content).hexdigest(), len(content))


UNREACHABLE = archive("http://127.0.0.1:9/tiny.zip")


def test_a_wheel_comes_with_pip_and_is_cached(shelf, cache):
    source = wheel(shelf)
    first = fetch("tiny", [source, UNREACHABLE])
    assert first == (cache / source.filename, source, True)
    assert [path.name for path in cache.iterdir()] == [source.filename]
    assert fetch("tiny", [source, UNREACHABLE]).fresh is False


def test_the_next_source_is_tried_where_pip_is_missing(address, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    source = archive(address)
    assert fetch("tiny", [Wheel("tinydata==1.0", "a.whl", "0" * 64, 1), source]) == (cache / "tiny.zip", source, True)
    assert (cache / "tiny.zip").read_bytes() == b"the archive"
    assert cached("tiny", [source]) == (cache / "tiny.zip", source, False)


def test_what_is_not_what_was_pinned_is_refused_and_nothing_is_left(shelf, address, cache):
    wheel(shelf)
    sources = [
        Wheel("tinydata==1.0", "tinydata-1.0-py3-none-any.whl", "0" * 64, 1),
        archive(address, b"another"),
    ]
    with pytest.raises(UserError, match=r"tinydata==1.0 with pip: .*; http://127.*tiny.zip: SHA256 hash") as caught:
        fetch("tiny", sources)
    assert "\n" not in str(caught.value)
    assert f"put tinydata-1.0-py3-none-any.whl or tiny.zip into {cache} by hand" in str(caught.value)
    assert list(cache.iterdir()) == []


def test_a_file_put_there_by_hand_is_used(cache):
    cache.mkdir(parents=True)
    (cache / "tiny.zip").write_bytes(b"the archive")
    assert fetch("tiny", [UNREACHABLE]) == (cache / "tiny.zip", UNREACHABLE, False)


def test_a_damaged_file_is_refused(cache):
    cache.mkdir(parents=True)
    (cache / "tiny.zip").write_bytes(b"the arch")
    with pytest.raises(UserError, match=r"tiny.zip: sha256 is .*: the file is damaged; delete it and fetch it again"):
        fetch("tiny", [UNREACHABLE])


def test_a_cache_that_cannot_be_made_is_refused(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("no folder")
    monkeypatch.setenv("RECMETA_DATA", str(tmp_path / "file"))
    with pytest.raises(UserError, match=r"the cache cannot be made .*; set RECMETA_DATA to a folder"):
        fetch("tiny", [UNREACHABLE])


def test_the_cache_is_the_users_unless_moved(monkeypatch):
    monkeypatch.delenv("RECMETA_DATA")
    assert cache_directory("tiny").parts[-2:] == ("recmeta", "tiny")
