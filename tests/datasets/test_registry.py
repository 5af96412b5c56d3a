import importlib
import re
from pathlib import Path

import pytest

from recmeta.config.components import located
from recmeta.datasets.registry import DATASETS, lookup
from recmeta.datasets.reviews import amazon_file
from recmeta.datasets.sources import Archive, ByHand, checksum
from recmeta.types import UserError

FETCHED = [entry for entry in DATASETS.values() if entry.sources]


def loader(name):
    """The function that ``dataset=`` of a name calls."""
    module, _, function = located(f"recmeta.datasets.{name}").rpartition(".")
    return getattr(importlib.import_module(module), function)


def test_every_loader_is_registered_under_its_own_name():
    for name, entry in DATASETS.items():
        assert entry.name == name
        assert entry.load in (None, loader(name))


@pytest.mark.parametrize("entry", FETCHED, ids=lambda entry: entry.name)
def test_what_is_fetched_says_its_licence_whom_to_cite_and_what_it_is_checked_against(entry):
    assert entry.licence
    assert entry.citation
    assert entry.page.startswith("http")
    for source in entry.sources:
        assert re.fullmatch(r"sha256 ([0-9a-f]{64}|unknown until first fetched(, md5 [0-9a-f]{32})?)", checksum(source))
        assert re.fullmatch(r"[\w.-]+", source.filename), "a name, not a path"


def test_every_data_set_has_its_section_in_the_docs():
    text = (Path(__file__).parents[2] / "docs" / "datasets.md").read_text(encoding="utf-8")
    assert re.findall(r"^## (\w+)$", text, re.MULTILINE) == list(DATASETS)


def test_what_each_data_set_is_checked_against():
    """Which are pinned, which only by an md5, and which when they are first fetched."""
    known = {
        entry.name: [(type(source).__name__, bool(source.sha256)) for source in entry.sources] for entry in FETCHED
    }
    assert known == {
        "ml_100k": [("Wheel", True), ("Archive", True)],
        "ml_1m": [("Wheel", True), ("Archive", True)],
        "ml_latest_small": [("Archive", True)],
        "ml_25m": [("Archive", True)],
        "movietweetings": [("Archive", False)],
        "book_crossing": [("Archive", False), ("Archive", False)],
        "goodbooks": [("Archive", False)],
        "douban_book": [("Archive", False)],
        "amazon_reviews": [("Archive", True)],
        "yelp": [("ByHand", False)],
        "lastfm_2k": [("Archive", True)],
        "jester": [("Archive", True), ("Archive", True)],
        "citeulike": [("Archive", True)],
    }


def test_a_category_without_a_known_checksum_is_pinned_when_first_fetched():
    known, unknown = amazon_file(2018, "Digital_Music"), amazon_file(2023, "Appliances")
    assert known.filename == "Digital_Music_2018.csv"
    assert known.url.endswith("/categoryFilesSmall/Digital_Music.csv")
    assert known.sha256 is not None
    assert unknown.filename == "Appliances_2023.csv.gz"
    assert checksum(unknown) == "sha256 unknown until first fetched"


def test_sources_say_what_they_are():
    assert ByHand("https://example.org", "x").label == Archive("https://example.org", "x").label


def test_an_unknown_name_is_refused_with_those_there_are():
    with pytest.raises(UserError, match="no data set 'ml_2m'; there are ml_100k, ml_1m"):
        lookup("ml_2m")


def test_a_loader_without_its_files_says_how_to_get_them(tmp_path, monkeypatch):
    monkeypatch.setenv("RECMETA_DATA", str(tmp_path))
    monkeypatch.setenv("RECMETA_OFFLINE", "1")
    for entry in FETCHED:
        with pytest.raises(UserError, match=rf"{entry.name} is not cached.* by hand, or set dataset.path"):
            loader(entry.name)()
