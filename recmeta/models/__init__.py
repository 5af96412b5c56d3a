"""Flax modules become pure functions here, and nowhere else; and the layers that modules are made of."""
