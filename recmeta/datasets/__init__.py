"""Files → clean `recmeta.types.Interactions`, with user and item features. Each loader is a choice of ``dataset=``."""

from recmeta.datasets.ml_100k import ml_100k
from recmeta.datasets.synthetic import synthetic
from recmeta.datasets.table import table

__all__ = ["ml_100k", "synthetic", "table"]
