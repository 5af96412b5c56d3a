"""Kinds of feature, one file each: reading, fitting on meta-train, encoding, embedding and comparing a column.

`recmeta.features.kind` is the interface, `recmeta.features.kinds` the list, `recmeta.features.transform` encodes whom
training never saw.
"""
