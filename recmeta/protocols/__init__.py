"""Protocols: clean interactions in, a hashed split and a sampler of tasks out."""

from recmeta.protocols.user_cold import user_cold

__all__ = ["user_cold"]
