"""Learners: how a task is adapted to. Each is a function ``(spec=, model=, objective=, ...) -> Learner``."""

from recmeta.learners.balanced import balanced
from recmeta.learners.bayes import bayes
from recmeta.learners.cavia import cavia
from recmeta.learners.cnp import cnp
from recmeta.learners.dropoutnet import dropoutnet
from recmeta.learners.finetune import finetune
from recmeta.learners.fold_in import fold_in
from recmeta.learners.hyper import hyper
from recmeta.learners.imaml import imaml
from recmeta.learners.joint import joint
from recmeta.learners.knn import knn
from recmeta.learners.logistic import logistic
from recmeta.learners.maml import maml
from recmeta.learners.maml_pp import maml_pp
from recmeta.learners.mamo import mamo
from recmeta.learners.matching import matching
from recmeta.learners.meta_curvature import meta_curvature
from recmeta.learners.meta_embedding import meta_embedding
from recmeta.learners.meta_sgd import meta_sgd
from recmeta.learners.mwuf import mwuf
from recmeta.learners.protonet import protonet
from recmeta.learners.relation import relation
from recmeta.learners.reptile import reptile
from recmeta.learners.ridge import ridge
from recmeta.learners.rlfm import rlfm
from recmeta.learners.set_transformer import set_transformer
from recmeta.learners.tanp import tanp
from recmeta.learners.zero_shot import zero_shot

__all__ = [
    "balanced",
    "bayes",
    "cavia",
    "cnp",
    "dropoutnet",
    "finetune",
    "fold_in",
    "hyper",
    "imaml",
    "joint",
    "knn",
    "logistic",
    "maml",
    "maml_pp",
    "mamo",
    "matching",
    "meta_curvature",
    "meta_embedding",
    "meta_sgd",
    "mwuf",
    "protonet",
    "relation",
    "reptile",
    "ridge",
    "rlfm",
    "set_transformer",
    "tanp",
    "zero_shot",
]
