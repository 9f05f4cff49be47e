"""Contact sheets, figures and HTML pages that compare models."""
