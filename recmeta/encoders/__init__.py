"""Encoders: ids and features to representations. Each is a `flax.nnx` module, called as

``encoder(context, support, x) -> Encoding``

for the rows ``x`` of one task; with ``x`` None, for the support rows themselves. An encoder that reads the support must
then let each row see only the support rows before it, else a row's own label would be part of what is to predict it.
It has ``widths``, the two widths of its `Encoding`.
"""
