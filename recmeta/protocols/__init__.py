"""Protocols: clean interactions in, a hashed split and a sampler of tasks out. Each is a module."""
