"""A job that stays and colours what arrives."""
