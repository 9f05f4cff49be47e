"""Colour measured against truth, and shown beside it."""
