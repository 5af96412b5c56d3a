"""Building blocks shared by learners: dense networks, classes of labels, Gaussians."""
