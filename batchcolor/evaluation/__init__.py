"""Metrics against reference photographs, and comparison of models on sheets and pages."""
