"""Checks for the tests of plugins."""

from batchcolor.hooks.testing import check_colorizer

__all__ = ["check_colorizer"]
