"""Benchmarks: each prints a table and writes JSON; reference programs and limits are measured in the same run."""
