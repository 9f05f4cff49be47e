"""Layout of contact sheets."""
