"""The plugin contract, and what isolates plugins from each other and from the job."""
