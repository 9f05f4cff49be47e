"""Trains models: packs pictures, trains networks, writes weights."""
