"""Run directories to tables, tests and verdicts. Reads files only; imports none of the training code."""
