"""Colour hints: colours that a person gives for places of a picture."""
