"""Contact sheets, PDF and HTML pages that compare models."""
