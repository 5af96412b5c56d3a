from dataclasses import replace
from hashlib import sha256

import pytest

from recmeta.datasets import __main__ as command
from recmeta.datasets import registry
from recmeta.datasets.sources import Archive

CONTENT = b"the archive"


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("RECMETA_DATA", str(tmp_path))
    source = Archive("http://127.0.0.1:9/tiny.zip", "tiny.zip", sha256(CONTENT).hexdigest(), len(CONTENT))
    tiny = registry.Entry("tiny", "1", "a tiny one", licence="Free.", citation="Nobody, 2020.", sources=(source,))
    monkeypatch.setitem(registry.DATASETS, "tiny", tiny)
    return tmp_path / "tiny"


@pytest.fixture
def put(cache):
    cache.mkdir()
    (cache / "tiny.zip").write_bytes(CONTENT)
    return cache / "tiny.zip"


def test_list_names_every_data_set(capsys, put):
    assert command.main(["list"]) == 0
    rows = [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]]
    assert ["ml_100k", "1998-04", "no"] in rows
    assert ["synthetic", "1", "-"] in rows
    assert ["tiny", "1", "yes"] in rows


def test_get_says_where_the_file_is_and_its_licence(capsys, put):
    assert command.main(["get", "tiny"]) == 0
    out = capsys.readouterr().out
    assert f"file     {put}" in out
    assert "licence  Free." in out


def test_describe_shows_licence_citation_and_counts(capsys):
    assert command.main(["describe", "tiny"]) == 0
    out = capsys.readouterr().out
    assert "licence  Free." in out
    assert "cite     Nobody, 2020." in out
    assert command.main(["describe", "synthetic"]) == 0
    out = capsys.readouterr().out
    assert "count    users: 1,000" in out
    assert "best     rmse: 0.5000" in out


def test_verify_hashes_again(capsys, put):
    assert command.main(["verify", "tiny"]) == command.main(["verify"]) == 0
    assert capsys.readouterr().out.count("is intact") == 2
    put.write_bytes(b"damaged")
    assert command.main(["verify"]) == 2
    assert "the file is damaged" in capsys.readouterr().err


def test_what_is_taken_as_it_is_is_said_aloud(capsys, put, monkeypatch):
    unpinned = replace(registry.lookup("tiny"), sources=(Archive("http://127.0.0.1:9/tiny.zip", "tiny.zip"),))
    monkeypatch.setitem(registry.DATASETS, "tiny", unpinned)
    assert command.main(["describe", "tiny"]) == 0
    assert "tiny.zip, sha256 unknown until first fetched" in capsys.readouterr().out
    assert command.main(["verify", "tiny"]) == 0
    assert "no sha256 is published for tiny.zip: it is used unchecked" in capsys.readouterr().out
    assert command.main(["get", "tiny"]) == 0
    out = capsys.readouterr().out
    assert f"sha256   {sha256(CONTENT).hexdigest()}" in out
    assert "used unchecked" not in out
    put.write_bytes(b"changed")
    assert command.main(["verify", "tiny"]) == 2
    assert "the file is damaged" in capsys.readouterr().err


def test_describe_says_where_a_count_is_not_the_published_one(capsys, monkeypatch):
    monkeypatch.setitem(registry.DATASETS, "synthetic", replace(registry.lookup("synthetic"), published={"users": 999}))
    assert command.main(["describe", "synthetic"]) == 0
    assert "count    users: 1,000, but 999 are published" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["get", "ml_3"], "no data set 'ml_3'; there are ml_100k, ml_1m"),
        (["verify", "tiny"], "tiny is not cached in"),
        (["get", "tiny"], "tiny could not be fetched"),
    ],
)
def test_a_mistake_ends_in_one_line_and_exit_code_2(capsys, arguments, message):
    assert command.main(arguments) == 2
    err = capsys.readouterr().err
    assert message in err
    assert len([line for line in err.splitlines() if line.startswith("recmeta-data")]) == 1
