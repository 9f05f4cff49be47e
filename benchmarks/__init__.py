"""Everything that is claimed about speed and memory: `python -m benchmarks`."""
