"""Options of a job: declared once, read from the command line, batchcolor.toml and Python."""
