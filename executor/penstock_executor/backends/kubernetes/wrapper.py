"""The ConfigMap through which the wrapper, and the first process of a warm worker, get into a task's Pod.

Invariants: immutable, and named by the digest of its content, so that Pods of two versions run side by side and nobody
has to update anything.
"""

from __future__ import annotations

import base64
import hashlib
from functools import cache
from importlib import resources
from typing import Any

from penstock_executor.backends.kubernetes.lightweight import FIRST_PROCESS

_PROGRAMS = ("bin/run-amd64", "bin/run-arm64", "bin/worker-amd64", "bin/worker-arm64", FIRST_PROCESS)


@cache
def wrapper_config_map() -> dict[str, Any]:
    """A v1 ConfigMap without a namespace. Raises FileNotFoundError for an installation without the programs."""
    home = resources.files("penstock_executor.agent")
    programs = {name.rpartition("/")[2]: home.joinpath(name).read_bytes() for name in _PROGRAMS}
    digest = hashlib.sha256(b"".join(programs.values())).hexdigest()[:12]
    return {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"penstock-run-{digest}",
            "labels": {"app.kubernetes.io/managed-by": "penstock", "app.kubernetes.io/component": "wrapper"},
        },
        "immutable": True,
        "binaryData": {name: base64.b64encode(data).decode() for name, data in programs.items()},
    }
