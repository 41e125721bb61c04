"""Runs directories of compiled pipelines against a server of its own and compares with what they must come to."""
