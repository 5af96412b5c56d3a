"""Scorers: representations to scores. Each is a `flax.nnx` module, called as ``scorer(encoding) -> [n]``, and is what
``adapts: head`` adapts. Scores are relative: `recmeta.models.model` adds the mean label."""
