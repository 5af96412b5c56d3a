"""Scorers: representations to scores, as `flax.nnx` modules ``scorer(encoding) -> [n]``.

They are the part that ``adapts: head`` adapts. Scores are relative: `recmeta.models.model` adds the mean label.
"""
