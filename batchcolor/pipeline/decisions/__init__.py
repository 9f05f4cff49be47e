"""Decisions of a person on single sources: what is approved, rejected or corrected."""
