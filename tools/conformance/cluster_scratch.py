"""A directory of this machine that all Pods of a namespace mount, and objects that they import.

Why: some pipelines count their attempts in a file, others import existing objects. The volume is a hostPath, so the
node has to be this machine.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tools.cluster import Cluster
from tools.conformance.index import Put
from tools.kube_penstock import BUCKET

_SIZE = {"storage": "1Gi"}
_MODES = ["ReadWriteMany"]


@contextmanager
def shared_by_pods(cluster: Cluster, namespace: str, directory: Path) -> Iterator[None]:
    """Mounts `directory` into every task of the namespace, at its own path."""
    directory.chmod(0o777)
    name = f"scratch-{uuid.uuid4().hex[:8]}"
    volume: dict[str, Any] = {
        "capacity": _SIZE,
        "accessModes": _MODES,
        "storageClassName": "",
        "hostPath": {"path": str(directory)},
        "claimRef": {"namespace": namespace, "name": name},
    }
    claim = {"accessModes": _MODES, "storageClassName": "", "volumeName": name, "resources": {"requests": _SIZE}}
    mount = {"name": "scratch", "mountPath": str(directory)}
    template = {
        "spec": {
            "volumes": [{"name": "scratch", "persistentVolumeClaim": {"claimName": name}}],
            "containers": [{"name": "main", "volumeMounts": [mount]}],
        }
    }
    made: list[tuple[str, dict[str, Any]]] = [
        ("/api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": volume}),
        (f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", {"metadata": {"name": name}, "spec": claim}),
        (
            f"/api/v1/namespaces/{namespace}/configmaps",
            # JSON is YAML.
            {"metadata": {"name": "penstock"}, "data": {"podTemplate": json.dumps(template)}},
        ),
    ]
    try:
        for path, document in made:
            cluster.create(path, document)
        yield
    finally:
        for path, document in reversed(made):
            cluster.delete(f"{path}/{document['metadata']['name']}")


def put_object(store: Path) -> Put:
    """Into the bucket whose objects lie as files in `store`."""

    def put(text: str) -> str:
        key = f"outside/{uuid.uuid4().hex}"
        (store / key).parent.mkdir(parents=True, exist_ok=True)
        (store / key).write_text(text)
        return f"s3://{BUCKET}/{key}"

    return put
