"""Still images: scanning, decoding, encoding, metadata. Never imports torch."""
