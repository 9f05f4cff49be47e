"""Metrics against ground truth, and comparison sheets."""
