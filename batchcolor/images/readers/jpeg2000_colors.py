"""Turns the components of JPEG 2000 into samples of a colour space (ISO/IEC 15444-1, annex I;
15444-2, annex M)."""
