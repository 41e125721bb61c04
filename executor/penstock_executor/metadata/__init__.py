"""Lineage: the port and its implementations."""
