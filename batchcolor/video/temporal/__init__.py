"""Motion estimation, shot detection and temporal stabilization of chroma."""
