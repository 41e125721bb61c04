"""One repository per resource: rows to domain values and back."""
