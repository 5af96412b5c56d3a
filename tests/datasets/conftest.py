"""Data sets are written by the tests, in the real formats."""

import zipfile

import pytest


@pytest.fixture
def pack(tmp_path):
    """``pack({member: text or bytes}, name)``: a zip with these members."""

    def pack(members, name="data.zip"):
        path = tmp_path / name
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for member, content in members.items():
                archive.writestr(member, content)
        return path

    return pack
