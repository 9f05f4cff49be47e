"""Durable state on disk: atomic writes and the journal of a job."""
