"""Protos to domain values and back, one module per resource. No decisions."""
