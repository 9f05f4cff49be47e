"""Jobs of several processes and computers."""
