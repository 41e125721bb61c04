"""Warm workers under random faults, in virtual time: the executor's own code for them and the agent's, with a cluster,
a server and processes that are only pretended.
"""
