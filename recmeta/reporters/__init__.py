"""Where a run is reported to beside its directory: the console, Weights & Biases. Host only."""
