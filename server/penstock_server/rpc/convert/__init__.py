"""Converts messages to domain values and back, one module per resource, without any logic of the domain."""
