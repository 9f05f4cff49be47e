"""What a job shows to monitoring: metrics for Prometheus."""
