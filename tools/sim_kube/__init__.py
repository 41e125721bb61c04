"""A simulated Kubernetes API server: the real protocol over real HTTP, no nodes behind it.

For tests that need faults on demand and for benchmarks at sizes no single machine's cluster reaches. What it promises
is what tests/support/kubernetes_contract.py says, which runs on it and on a real cluster. What the Pods do is made up:
each goes Pending, Running, Succeeded on timers, or fails the way its annotation `sim-kube/outcome` says.
"""
