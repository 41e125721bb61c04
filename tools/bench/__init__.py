"""Measurements: each prints a table and leaves JSON; peers and limits are measured in the same run."""
