"""Shared by tests and the programs of `tools`: pipeline specs, runs, launches, settings of Pods, an issuer of
tokens.

Invariant: it imports no test, and neither does anything else in `tools`.
"""
