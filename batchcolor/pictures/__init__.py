"""Stills on disk: found, read, written, committed."""
