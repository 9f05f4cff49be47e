"""Marks that state what coloured a result."""
