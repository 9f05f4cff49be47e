"""Encoding, muxing, timestamps and resumable segments."""
