"""Protocols: clean interactions in, a hashed split and a sampler of tasks out."""

from recmeta.protocols.matrix import matrix
from recmeta.protocols.published import melu, metahin, tanp
from recmeta.protocols.temporal import temporal
from recmeta.protocols.user_cold import user_cold

__all__ = ["matrix", "melu", "metahin", "tanp", "temporal", "user_cold"]
