"""Video files: probing, decoding, temporal stabilization, encoding, muxing. Never imports torch."""
