"""Encoders: ids and features to representations, as `flax.nnx` modules.

``encoder(context, support, x) -> Encoding``

for the rows ``x`` of one task; with ``x`` None, for the support rows themselves. An encoder that reads the support must
then let each row see only the support rows before it, else a row's own label would be part of what is to predict it.
It has ``widths``, the two widths of its `Encoding`. It may hold `flax.nnx.Dropout`, which is off at test, and take a
``key`` in its call: randomness in training, None at test, where all is deterministic.

Arrays that nobody trains are `recmeta.models.layers.Constant`s. Embedding tables are `recmeta.models.fields.Table`s,
looked up as ``table[...][index]`` outside of any loop, so that a task can adapt the rows that it looks up alone; dense
layers are `recmeta.models.layers.Linear`s, so that adapters reach them. `recmeta.models.probe` refuses anything else.

Of what it asks for by name in its signature it is given ``spec``, ``rngs`` and ``background``
(`recmeta.types.Background`): the meta-train rows by item, and relations. An encoder that reads rows there must leave
out those of the task's own entity, ``context[ENTITY]``: in training, the labels that it is to predict are among them.
"""
