"""Decoding and encoding of pictures; files with several pages, and animations."""
