"""Runs colorizers: devices, weights, batches, color transfer."""
