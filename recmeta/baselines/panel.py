"""The baselines by name: a name here is a name in the root's ``baselines``."""

from recmeta.baselines.bias import user_item_bias
from recmeta.baselines.blend import blend
from recmeta.baselines.constant import global_mean, random, support_mean
from recmeta.baselines.content import content_logistic, content_ridge
from recmeta.baselines.ease import ease
from recmeta.baselines.factor_model import factor_model
from recmeta.baselines.factors import ials, svd
from recmeta.baselines.items import item_mean, popularity
from recmeta.baselines.neighbours import item_knn, tfidf_knn
from recmeta.baselines.recent import recent_popularity
from recmeta.baselines.segments import cluster_mean, cluster_popularity
from recmeta.types import Baseline

BASELINES: dict[str, Baseline] = {
    "random": random,
    "global_mean": global_mean,
    "item_mean": item_mean,
    "support_mean": support_mean,
    "popularity": popularity,
    "recent_popularity": recent_popularity,
    "cluster_popularity": cluster_popularity,
    "cluster_mean": cluster_mean,
    "user_item_bias": user_item_bias,
    "content_ridge": content_ridge,
    "content_logistic": content_logistic,
    "tfidf_knn": tfidf_knn,
    "item_knn": item_knn,
    "ease": ease,
    "svd": svd,
    "factor_model": factor_model,
    "ials": ials,
}

COMBINED: dict[str, Baseline] = {"blend": blend}
"""Those that combine the others of the list."""
