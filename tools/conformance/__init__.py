"""Runs directories of compiled pipelines against a server of its own and compares the results with the expected
ones.
"""
