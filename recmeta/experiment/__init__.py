"""An experiment from start to end: prepare it, train, choose, test once, report."""
