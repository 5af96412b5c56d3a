"""Static word vectors from a file: the mean of a text's, or their mean by SIF weights without the first component."""

from __future__ import annotations

import hashlib
import lzma
import zlib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache, partial
from itertools import chain, islice
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

import numpy as np
from annotated_types import Ge, Gt, MinLen
from jaxtyping import Bool, Float

from recmeta.datasets.content import PACKED
from recmeta.features.vector import vector
from recmeta.runs.files import one_line
from recmeta.texts.vocabulary import vectors_or_missing, words_of
from recmeta.types import Column, Fitted, Preparation, UserError


class WordVectors(NamedTuple):
    """Words, each with its row of the vectors."""

    row: Mapping[str, int]
    vectors: Float[np.ndarray, "V d"]


def words(
    *,
    file: Annotated[str, MinLen(1)] | None,
    weighting: Literal["mean", "sif"],
    smoothing: Annotated[float, Gt(0)],
    most: Annotated[int, Ge(1)] | None,
) -> Preparation:
    """Turn a text into the mean of its words' vectors.

    By "sif" a word of relative frequency p in meta-train's texts weighs ``smoothing / (smoothing + p)``, and the first
    right singular vector of meta-train's means is projected out of every text. A word that the file lacks counts for
    nothing; words are looked up in lower case.

    The file is read again where a text is encoded later: the run keeps its place and its sha256.

    Args:
        file: word vectors as text, a word and its numbers in each line, separated by single blanks (GloVe), maybe after
            a line with the number of words and the width (word2vec); .gz, .bz2 and .xz are unpacked.
        weighting: "mean" or "sif".
        smoothing: of SIF; the paper's range is 0.0001 to 0.001.
        most: how many words to read, the first ones of the file, which are the most frequent as a rule; None: all.

    Raises:
        UserError: there is no such file.

    Reference: Arora, Liang and Ma, A simple but tough-to-beat baseline for sentence embeddings, ICLR 2017, algorithm 1;
    Pennington, Socher and Manning, GloVe: Global vectors for word representation, EMNLP 2014 (the files).
    """
    if file is None:
        raise UserError("text.file is not set: name a file of word vectors as text, as text.file=glove.6B.100d.txt")
    path = Path(file).expanduser().resolve()
    digest = _digest(path)
    settings = {
        "file": str(path),
        "sha256": digest,
        "most": most,
        "smoothing": smoothing if weighting == "sif" else None,
    }
    return Preparation("words", vector.name, partial(_fit, settings=settings), apply_words, digest)


def _fit(column: Column, seen: Bool[np.ndarray, "N"], *, settings: Mapping[str, Any]) -> Fitted:
    """Fit the words' frequencies and the component to be removed, for SIF."""
    state, texts = {**settings, "frequent": [], "shares": np.zeros(0), "component": None}, column.values[seen].tolist()
    table = _table(settings)
    counts = Counter(chain.from_iterable(map(words_of, texts)))
    total, found = sum(counts.values()), sum(n for word, n in counts.items() if word in table.row)
    if counts and not found:
        raise UserError(
            f"{settings['file']}: holds none of the {len(counts):,} words of meta-train's texts: is it of another "
            "language, or with capitals?"
        )
    counted = {"words": len(counts), "words with a vector": sum(word in table.row for word in counts)}
    note = f"{found / max(total, 1):.1%} of the words have a vector"
    if settings["smoothing"] is not None:
        there = sorted(word for word in counts if word in table.row)
        state |= {"frequent": there, "shares": np.array([counts[word] / total for word in there])}
        means, known = _means(texts, state)
        if known.any():
            state["component"] = np.linalg.svd(means[known], full_matrices=False)[2][0]
    return Fitted(state, counted, note)


def apply_words(column: Column, state: Mapping[str, Any]) -> Column:
    """Average the vectors of each text; one without a known word is missing."""
    means, known = _means(column.values.tolist(), state)
    if (component := state["component"]) is not None:
        means = means - np.outer(means @ component, component)
    return Column(vector.name, vectors_or_missing(means, known))


def _means(texts: Sequence[str], state: Mapping[str, Any]) -> tuple[Float[np.ndarray, "N d"], Bool[np.ndarray, "N"]]:
    """Average word vectors by their weights; returns also which texts have one."""
    table, smoothing = _table(state), state["smoothing"]
    frequency = dict(zip(state["frequent"], state["shares"].tolist(), strict=True))
    made, known = np.zeros((len(texts), table.vectors.shape[1])), np.zeros(len(texts), bool)
    for place, text in enumerate(texts):
        if there := [word for word in words_of(text) if word in table.row]:
            vectors = table.vectors[[table.row[word] for word in there]]
            share = np.array([frequency.get(word, 0.0) for word in there])
            weight = np.ones(len(there)) if smoothing is None else smoothing / (smoothing + share)
            made[place], known[place] = weight @ vectors / len(there), True
    return made, known


def _table(state: Mapping[str, Any]) -> WordVectors:
    return read_vectors(Path(state["file"]), state["sha256"], state["most"])


@lru_cache(1)
def read_vectors(path: Path, sha256: str, most: int | None) -> WordVectors:
    """Read word vectors; of a word that occurs again the first counts.

    Args:
        path: the file.
        sha256: that it must have.
        most: words at most; None: all.

    Raises:
        UserError: it is missing, another file than was fitted with, or a line is none of a word and so many numbers.
    """
    if (found := _digest(path)) != sha256:
        raise UserError(f"{path}: sha256 is {found}, and the run was fitted with {sha256}; put that file there")
    row: dict[str, int] = {}
    vectors: list[np.ndarray] = []
    try:
        with PACKED.get(path.suffix.lower(), open)(path, "rt", encoding="utf-8", newline="\n") as file:
            for number, (word, numbers) in enumerate(islice(_lines(path, file), most), start=1):
                if word not in row:
                    row[word] = len(vectors)
                    vectors.append(_numbers(path, number, word, numbers))
    except (UnicodeDecodeError, OSError, EOFError, lzma.LZMAError, zlib.error) as error:
        raise UserError(f"{path}: not word vectors as UTF-8 text, or damaged ({one_line(error)})") from error
    if not vectors:
        raise UserError(f"{path}: holds no vectors; a line must be a word and its numbers, separated by blanks")
    return WordVectors(row, np.stack(vectors))


def _lines(path: Path, file: Any) -> Iterator[tuple[str, list[str]]]:
    """Split lines into words and numbers, without a header. A word may hold blanks."""
    width = 0
    for number, line in enumerate(file, start=1):
        line = line.rstrip(" \r\n")
        if number == 1 and len(header := line.split(" ")) == 2 and all(part.isdigit() for part in header):
            continue
        width = width or line.count(" ")
        word, *numbers = line.rsplit(" ", width)
        if not width or len(numbers) != width:
            raise UserError(f"{path}, line {number}: must be a word and {width or 'its'} numbers, separated by blanks")
        yield word, numbers


def _numbers(path: Path, number: int, word: str, numbers: Sequence[str]) -> Float[np.ndarray, "d"]:
    try:
        made = np.array(numbers, np.float32)
    except ValueError as error:
        raise UserError(f"{path}, vector {number}, of {word!r}: not all are numbers") from error
    if not np.isfinite(made).all():
        raise UserError(f"{path}, vector {number}, of {word!r}: not all are finite numbers")
    return made


def _digest(path: Path) -> str:
    try:
        with path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise UserError(f"text.file={path}: cannot be read ({error.strerror or error})") from error
