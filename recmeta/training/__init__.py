"""The compiled training program, the optimizer around it, its devices, where it starts, and its checkpoints."""
