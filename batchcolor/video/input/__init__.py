"""Frames from video files and image sequences."""
