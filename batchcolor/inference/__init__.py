"""Running a colorizer: devices, weights, batches, color transfer."""
