"""Backends: what computes a model's chroma, by torch or by another inference library."""
