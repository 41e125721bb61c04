"""What an executor's own metrics say of its calls to the cluster."""

from __future__ import annotations

import urllib.request

_WRITES = ('verb="POST"', 'verb="DELETE"', 'verb="PATCH"', 'verb="PUT"')


def writes(metrics: str) -> float:
    """The number of creates, deletes and patches of the executor so far; `metrics` is the URL of its metrics."""
    with urllib.request.urlopen(metrics, timeout=10) as reply:
        lines = reply.read().decode().splitlines()
    return sum(
        float(line.rsplit(" ", 1)[1])
        for line in lines
        if line.startswith("penstock_executor_kubernetes_seconds_count") and any(one in line for one in _WRITES)
    )
