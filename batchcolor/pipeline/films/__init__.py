"""Films of a job: probe, memory, states, commit."""
