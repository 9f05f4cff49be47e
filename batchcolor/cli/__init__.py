"""What a person types; one file a command; no work is done here."""
