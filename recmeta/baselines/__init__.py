"""Closed-form methods that every table carries: a name here is a name in the root's ``baselines``."""

from recmeta.baselines.bias import user_item_bias
from recmeta.baselines.constant import global_mean, random, support_mean
from recmeta.baselines.items import item_mean, popularity
from recmeta.types import Baseline

BASELINES: dict[str, Baseline] = {
    "random": random,
    "global_mean": global_mean,
    "item_mean": item_mean,
    "support_mean": support_mean,
    "popularity": popularity,
    "user_item_bias": user_item_bias,
}

__all__ = ["BASELINES"]
