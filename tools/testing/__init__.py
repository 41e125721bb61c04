"""Shared by tests and the programs of `tools`: pipeline specs, runs, launches, settings of Pods.

Invariant: it imports no test, and neither does anything else in `tools`.
"""
