"""Learners: how a task is adapted to. Each is a function ``(spec=, model=, objective=, ...) -> Learner``."""

from recmeta.learners.joint import joint
from recmeta.learners.maml import maml
from recmeta.learners.protonet import protonet
from recmeta.learners.reptile import reptile
from recmeta.learners.ridge import ridge

__all__ = ["joint", "maml", "protonet", "reptile", "ridge"]
