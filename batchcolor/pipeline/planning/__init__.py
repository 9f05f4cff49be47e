"""From sources to tasks: what is read, written, skipped and refused."""
