"""TIFF: directories, samples, pages, damage."""
