"""Augmentations of meta-train batches. Each module has one: ``(**settings) -> Augmentation``."""
