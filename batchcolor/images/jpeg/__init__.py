"""JPEG: decoding of every process, and repair."""
