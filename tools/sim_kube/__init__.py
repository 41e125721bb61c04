"""A simulated Kubernetes API server: the real protocol over real HTTP, no nodes behind it.

For tests that need faults on demand and for benchmarks at sizes no single machine's cluster reaches. What it promises
is what tests/support/kubernetes_contract.py and exec_contract.py say, which run on it and on a real cluster. What the
Pods do is made up: each goes Pending, Running, Succeeded on timers, or fails the way its annotation `sim-kube/outcome`
says. A Pod whose container `main` has a command `…/worker` is a warm worker (docs/workers.md): its agent is the real
class, its attempts are timers, and end as their variable SIM_OUTCOME says.

Invariant: nothing here knows of the executor but the agent's own protocol.
"""
