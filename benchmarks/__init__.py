"""Measurements of speed, memory and error that the documentation cites: `python -m benchmarks`."""
