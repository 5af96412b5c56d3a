"""recmeta: compose, compile and judge cold-start recommendation experiments."""

__version__ = "0.1.0"
