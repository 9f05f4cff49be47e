"""The coded stream of JPEG: structure, copied luma scans, scans of chroma."""
