"""Pictures, pages and frames in flight between decoding and encoding."""
