"""The values that flow through recmeta, and the interfaces of its parts."""

from recmeta.types.data import (
    Column,
    DataSpec,
    Entities,
    Field,
    Fitted,
    Interactions,
    Preparation,
    Relation,
    Transform,
)
from recmeta.types.errors import Diverged, Pruned, UserError
from recmeta.types.parts import Baseline, Encoding, Learner, MakeLearner, Model, Numbers, Objective, Params, Traced
from recmeta.types.reporting import Reporter, Run
from recmeta.types.tasks import Batch, Candidates, Features, Negatives, Problem, Query, Split, Support, Task, Tasks

__all__ = [
    "Baseline",
    "Batch",
    "Candidates",
    "Column",
    "DataSpec",
    "Diverged",
    "Encoding",
    "Entities",
    "Features",
    "Field",
    "Fitted",
    "Interactions",
    "Learner",
    "MakeLearner",
    "Model",
    "Negatives",
    "Numbers",
    "Objective",
    "Params",
    "Preparation",
    "Problem",
    "Pruned",
    "Query",
    "Relation",
    "Reporter",
    "Run",
    "Split",
    "Support",
    "Task",
    "Tasks",
    "Traced",
    "Transform",
    "UserError",
]
