"""Films on their way through a job."""
