"""What the tests and the programs of `tools` share: pipelines to send, runs to follow, launches and Pods to make.

Invariant: it imports no test, and neither does anything else in `tools`.
"""
