"""All that a plugin's author imports, and what keeps plugins apart."""
