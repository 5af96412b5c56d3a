"""Texts to features: every choice of ``text=`` returns a `recmeta.types.Preparation` of text columns.

A choice is a function of its settings alone. Its preparation is noted on every text column (`recmeta.texts.noting`),
and a protocol fits it, on meta-train alone; the state that it returns is saved with the run, and encodes texts that
training never saw in the same way. It gives a kind of feature that a model reads: multi, weighted or vector.
"""
