"""Readers of the other still formats."""
