"""Pieces that several learners are made of: dense networks, classes of labels, Gaussians."""
