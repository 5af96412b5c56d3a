"""Tables, tests and verdicts of finished runs. Reads files only; imports none of the training code."""
