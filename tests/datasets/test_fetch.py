import hashlib
import http.server
import re
import sys
import threading
import zipfile

import pytest

from recmeta.datasets import transfer
from recmeta.datasets.fetch import Archive, ByHand, Wheel, cache_directory, cached, fetch, sha256_of
from recmeta.types import UserError

METADATA = "Metadata-Version: 2.1\nName: tinydata\nVersion: 1.0\n"
TAGS = "Wheel-Version: 1.0\nGenerator: test\nRoot-Is-Purelib: true\nTag: py3-none-any\n"

CONTENT = bytes(range(256)) * 16
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECMETA_DATA", str(tmp_path / "cache"))
    monkeypatch.delenv("RECMETA_OFFLINE", raising=False)
    return tmp_path / "cache" / "tiny"


@pytest.fixture
def shelf(tmp_path, monkeypatch):
    """A folder that pip looks in, and nowhere else."""
    folder = tmp_path / "shelf"
    folder.mkdir()
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return folder


class Handler(http.server.BaseHTTPRequestHandler):
    """Serves its server's ``content``; breaks off after ``limit`` bytes, once; knows of parts if ``ranges``."""

    def do_GET(self):
        shop = self.server
        shop.asked.append(self.headers["Range"])
        if self.path != "/tiny.zip":
            self.send_error(404)
            return
        wanted = re.fullmatch(r"bytes=(\d+)-", self.headers["Range"] or "")
        start = int(wanted[1]) if wanted and shop.ranges else 0
        if wanted and shop.ranges and start >= len(shop.content):
            self.send_error(416)
            return
        body = shop.content[start:]
        self.send_response(206 if wanted and shop.ranges else 200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body[: shop.limit])
        shop.limit = None

    def log_message(self, *_):
        pass


@pytest.fixture
def shop():
    """A server on this machine. ``shop.url`` is what it serves, ``shop.asked`` the ranges it was asked for."""
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        server.content, server.limit, server.ranges, server.asked = CONTENT, None, True, []
        server.url = f"http://127.0.0.1:{server.server_port}/tiny.zip"
        thread = threading.Thread(target=server.serve_forever, args=(0.01,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def archive(url, content=CONTENT, **known):
    return Archive(url, "tiny.zip", **{"sha256": hashlib.sha256(content).hexdigest(), "size": len(content)} | known)


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
    assert first == (cache / source.filename, source, True, False)
    assert [path.name for path in cache.iterdir()] == [source.filename]
    assert fetch("tiny", [source, UNREACHABLE]).fresh is False


def test_the_next_source_is_tried_where_pip_is_missing(shop, cache, tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no-python"))
    sources = [Wheel("tinydata==1.0", "a.whl", "0" * 64, 1), archive(shop.url)]
    assert fetch("tiny", sources) == (cache / "tiny.zip", sources[1], True, False)
    assert (cache / "tiny.zip").read_bytes() == CONTENT
    assert cached("tiny", sources) == (cache / "tiny.zip", sources[1], False, False)


@pytest.mark.parametrize(
    "worse",
    [
        pytest.param(lambda shop: archive(shop.url.replace("tiny", "gone")), id="not there"),
        pytest.param(lambda shop: archive(shop.url, b"another"), id="another file, and larger"),
        pytest.param(lambda shop: archive(shop.url, b"another", size=None), id="another file"),
        pytest.param(lambda shop: archive(shop.url, sha256=None, md5="0" * 32), id="another md5"),
        pytest.param(lambda _: UNREACHABLE, id="unreachable"),
    ],
)
def test_a_mirror_takes_over_and_nothing_else_is_left(shop, cache, worse):
    mirror = archive(shop.url)
    found = fetch("tiny", [worse(shop), mirror])
    assert (found.source, found.fresh) == (mirror, True)
    assert [path.name for path in cache.iterdir()] == ["tiny.zip"]


def test_what_is_not_what_was_pinned_is_refused_and_nothing_is_left(shelf, shop, cache):
    wheel(shelf)
    sources = [
        Wheel("tinydata==1.0", "tinydata-1.0-py3-none-any.whl", "0" * 64, 1),
        archive(shop.url, b"another", size=None),
    ]
    with pytest.raises(UserError, match=r"tinydata==1.0 with pip: .*; http://127.*tiny.zip: sha256 is") as caught:
        fetch("tiny", sources)
    assert "\n" not in str(caught.value)
    assert f"put tinydata-1.0-py3-none-any.whl or tiny.zip into {cache} by hand" in str(caught.value)
    assert list(cache.iterdir()) == []


@pytest.mark.parametrize(
    ("ranges", "asked"),
    [
        pytest.param(True, [None, "bytes=1000-"], id="the rest alone"),
        pytest.param(False, [None, "bytes=1000-"], id="all of it, where the server knows no parts"),
    ],
)
def test_a_broken_download_goes_on_where_it_broke_off(shop, cache, monkeypatch, ranges, asked):
    monkeypatch.setattr(transfer, "PIECE", 100)
    shop.limit, shop.ranges = 1000, ranges
    with pytest.raises(UserError, match="tiny could not be fetched"):
        fetch("tiny", [archive(shop.url)])
    assert [(path.name, path.stat().st_size) for path in cache.iterdir()] == [(".tiny.zip.part", 1000)]
    assert fetch("tiny", [archive(shop.url)]).path.read_bytes() == CONTENT
    assert shop.asked == asked
    assert [path.name for path in cache.iterdir()] == ["tiny.zip"]


@pytest.mark.parametrize("left", [b"of an older file", CONTENT[::-1], CONTENT[::-1] + b"longer"])
def test_what_an_earlier_attempt_left_is_given_up_where_it_does_not_fit(shop, cache, left):
    cache.mkdir(parents=True)
    (cache / ".tiny.zip.part").write_bytes(left)
    assert fetch("tiny", [archive(shop.url, size=None)]).path.read_bytes() == CONTENT
    assert shop.asked == [f"bytes={len(left)}-", None]


def test_without_a_checksum_nothing_is_resumed(shop, cache):
    shop.limit = 1000
    source = archive(shop.url, sha256=None)
    with pytest.raises(UserError, match="tiny could not be fetched"):
        fetch("tiny", [source])
    assert list(cache.iterdir()) == []
    assert fetch("tiny", [source]).path.read_bytes() == CONTENT
    assert shop.asked == [None, None]


def test_without_a_sha256_it_is_taken_down_when_first_seen_and_holds_from_then_on(shop, cache):
    source = archive(shop.url, sha256=None, size=None, md5=hashlib.md5(CONTENT).hexdigest())
    first = fetch("tiny", [source])
    assert (first.fresh, first.pinned, sha256_of(first)) == (True, True, SHA256)
    assert (cache / "tiny.zip.sha256").read_text() == f"{SHA256}  tiny.zip\n"
    again = fetch("tiny", [source])
    assert (again.fresh, again.pinned) == (False, False)
    (cache / "tiny.zip").unlink()
    shop.content = b"the server has another file now"
    with pytest.raises(UserError, match=r"tiny.zip: (md5|sha256) is"):
        fetch("tiny", [source])
    with pytest.raises(UserError, match=rf"sha256 is .*, not {SHA256}"):
        fetch("tiny", [archive(shop.url, sha256=None, size=None)])


def test_a_file_that_changed_since_it_was_taken_down_is_refused(cache):
    cache.mkdir(parents=True)
    (cache / "tiny.zip").write_bytes(CONTENT)
    source = archive("http://127.0.0.1:9/tiny.zip", sha256=None)
    by_hand = fetch("tiny", [source])
    assert (by_hand.fresh, by_hand.pinned) == (False, True)
    (cache / "tiny.zip").write_bytes(b"changed")
    with pytest.raises(UserError, match="the file is damaged"):
        fetch("tiny", [source])
    (cache / "tiny.zip.sha256").write_text("")
    with pytest.raises(UserError, match=r"tiny.zip.sha256: must be a sha256, two spaces and a name"):
        fetch("tiny", [source])


def test_offline_nothing_is_fetched(shop, cache, monkeypatch):
    monkeypatch.setenv("RECMETA_OFFLINE", "1")
    with pytest.raises(UserError, match=r"RECMETA_OFFLINE is set: nothing is fetched; put tiny.zip into"):
        fetch("tiny", [archive(shop.url)])
    assert shop.asked == []
    cache.mkdir(parents=True)
    (cache / "tiny.zip").write_bytes(CONTENT)
    assert fetch("tiny", [archive(shop.url)]).fresh is False


def test_what_has_terms_to_accept_is_left_to_the_user(cache):
    source = ByHand("https://example.org/terms", "tiny.zip")
    with pytest.raises(UserError, match=r"example.org/terms: its terms are to be accepted there.*put tiny.zip into"):
        fetch("tiny", [source])
    (cache / "tiny.zip").write_bytes(CONTENT)
    assert fetch("tiny", [source]) == (cache / "tiny.zip", source, False, True)


def test_a_file_put_there_by_hand_is_used(cache):
    cache.mkdir(parents=True)
    (cache / "tiny.zip").write_bytes(CONTENT)
    assert fetch("tiny", [UNREACHABLE]) == (cache / "tiny.zip", UNREACHABLE, False, False)


def test_a_damaged_file_is_refused(cache):
    cache.mkdir(parents=True)
    (cache / "tiny.zip").write_bytes(CONTENT[:-1])
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
