"""Settings of a file: separator, quote, header, encoding and decimal mark."""

from __future__ import annotations

import codecs
from collections.abc import Sequence
from typing import Literal, NamedTuple

from recmeta.types import UserError

BLANKS = "blanks"
"""Separator of values between which any number of blanks or tabs stands."""

WORDS = {"comma": ",", "semicolon": ";", "tab": "\t", "\\t": "\t", "pipe": "|", "blanks": BLANKS}
"""Words for separators that a shell or Hydra would take for something else."""

Decimal = Literal["point", "comma"]


class Layout(NamedTuple):
    """Layout of a text file; the other kinds of file read ``decimal`` alone.

    Attributes:
        separator: between values, of any length, or `BLANKS`; None: inferred from the suffix and the first lines.
        quote: around values that hold separators, one character; False: quotes are ordinary characters; None: ``"``,
            but in files that are separated by tabs only where the header is quoted throughout.
        header: the names of the columns, where the file has no line of them; None: the first line has them.
        encoding: of Python's names; None: UTF-8, or UTF-16 where the file begins with its mark.
        decimal: the mark in numbers.
        header_setting: the setting that ``header`` comes from, for messages.
    """

    separator: str | None = None
    quote: str | Literal[False] | None = None
    header: Sequence[str] | None = None
    encoding: str | None = None
    decimal: Decimal = "point"
    header_setting: str = "dataset.header"


def checked_layout(separator: str | None, quote: str | bool | None, encoding: str | None, decimal: Decimal) -> Layout:
    """Check the settings of ``dataset`` that all its files share.

    Raises:
        UserError: a separator that is empty or has a quote or a line end, a quote that is not one character, or an
            encoding that Python does not know.
    """
    found = None if separator is None else WORDS.get(separator, separator)
    if found is not None and (not found or any(odd in found for odd in '"\r\n')):
        words = ", ".join(word for word in WORDS if word.isalpha())
        raise UserError(f"dataset.separator={separator!r}: give one or more characters, such as '::', or {words}")
    if quote is True or (isinstance(quote, str) and (len(quote) != 1 or quote in "\r\n" or quote == found)):
        raise UserError(f"dataset.quote={quote}: give one character, or false where quotes are ordinary characters")
    if encoding is not None:
        try:
            codecs.lookup(encoding)
        except LookupError:
            raise UserError(f"dataset.encoding={encoding}: unknown; give utf-8, utf-16, latin-1, cp1252, ...") from None
    return Layout(found, quote, None, encoding, decimal)


def with_header(layout: Layout, header: Sequence[str] | None, setting: str) -> Layout:
    """Set the names of the columns of one file.

    Raises:
        UserError: there are none, or one is empty or occurs twice.
    """
    if header is not None:
        names = [str(name).strip() for name in header]
        if not names or "" in names or len(set(names)) < len(names):
            raise UserError(f"{setting}={list(header)}: give each column a name of its own, in the order of the file")
        header = names
    return layout._replace(header=header, header_setting=setting)


def shown(separator: str) -> str:
    """Return a separator as a setting and a message show it."""
    word = next((word for word, found in WORDS.items() if found == separator and word.isalpha()), None)
    return word or repr(separator)
