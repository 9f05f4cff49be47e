"""Metadata of still images: read as stored, kept as stored, moved between formats."""
