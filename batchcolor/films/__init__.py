"""Moving pictures on disk: read, coloured plane by plane, written; never imports torch."""
