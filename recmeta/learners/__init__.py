"""Learners: adapt a model to one task. One module each: ``(spec=, model=, objective=, ...) -> Learner``."""
