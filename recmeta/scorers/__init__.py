"""Scorers: representations to scores. Each is a `flax.nnx` module, called as ``scorer(encoding) -> [n]``, and is what
``adapts: head`` adapts. Scores are relative: `recmeta.model` adds the mean label."""

from recmeta.scorers.dot import dot
from recmeta.scorers.mlp import mlp

__all__ = ["dot", "mlp"]
