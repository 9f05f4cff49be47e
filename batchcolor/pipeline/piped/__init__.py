"""Films that pass through a pipe: `run - -o -`."""
