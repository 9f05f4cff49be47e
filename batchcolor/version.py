"""The version of batchcolor."""

__version__ = "0.1.0"
