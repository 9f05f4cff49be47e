"""PNG: chunks, colour, decoding, damage."""
