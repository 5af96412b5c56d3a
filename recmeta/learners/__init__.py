"""Learners: how a task is adapted to. Each is a function ``(spec=, model=, objective=, ...) -> Learner``."""

from recmeta.learners.cavia import cavia
from recmeta.learners.cnp import cnp
from recmeta.learners.dropoutnet import dropoutnet
from recmeta.learners.finetune import finetune
from recmeta.learners.hyper import hyper
from recmeta.learners.imaml import imaml
from recmeta.learners.joint import joint
from recmeta.learners.maml import maml
from recmeta.learners.maml_pp import maml_pp
from recmeta.learners.mamo import mamo
from recmeta.learners.meta_sgd import meta_sgd
from recmeta.learners.protonet import protonet
from recmeta.learners.reptile import reptile
from recmeta.learners.ridge import ridge
from recmeta.learners.set_transformer import set_transformer
from recmeta.learners.tanp import tanp

__all__ = [
    "cavia",
    "cnp",
    "dropoutnet",
    "finetune",
    "hyper",
    "imaml",
    "joint",
    "maml",
    "maml_pp",
    "mamo",
    "meta_sgd",
    "protonet",
    "reptile",
    "ridge",
    "set_transformer",
    "tanp",
]
