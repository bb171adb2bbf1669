"""One-time material and models on disk."""
