"""Learners: how a task is adapted to. Each module has one: ``(spec=, model=, objective=, ...) -> Learner``."""
