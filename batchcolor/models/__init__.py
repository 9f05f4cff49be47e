"""The built-in networks and their training recipes."""
