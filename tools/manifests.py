"""Kustomizations rendered to objects, and objects sent to the cluster of KUBECONFIG.

Why not `kubectl apply`: a cluster is found through KUBECONFIG alone, and whoever has kustomize but no kubectl can check
and test too. Invariants: rendering needs no cluster; objects are applied in an order in which each finds what it needs;
a check leaves nothing behind.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import yaml
from kubernetes import config
from kubernetes.client import ApiClient
from kubernetes.client.exceptions import ApiException
from kubernetes.dynamic import DynamicClient

from tools.go_programs import go_program

KUSTOMIZE = "sigs.k8s.io/kustomize/kustomize/v5@v5.8.1"
_FIRST = ("Namespace", "ServiceAccount", "Role", "Secret", "ConfigMap", "PersistentVolumeClaim")
_NAMESPACE = {"apiVersion": "v1", "kind": "Namespace"}
Object = dict[str, Any]


def render(directory: Path) -> list[Object]:
    """The objects of a kustomization. Raises RuntimeError with what kustomize says."""
    command = ["kubectl", "kustomize"] if shutil.which("kubectl") else [str(go_program(KUSTOMIZE)), "build"]
    done = subprocess.run([*command, str(directory)], capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{directory}: {done.stderr}")
    return [document for document in yaml.safe_load_all(done.stdout) if document]


def identity(document: Object) -> str:
    """Such as `Deployment penstock/penstock-server`."""
    metadata = document["metadata"]
    return f"{document['kind']} {metadata.get('namespace', '')}/{metadata['name']}".replace(" /", " ")


class Applier:
    """Server-side apply to the cluster of KUBECONFIG."""

    def __init__(self) -> None:
        client = ApiClient()
        config.load_kube_config(client_configuration=client.configuration)
        self._client = DynamicClient(ApiClient(client.configuration))

    def apply(self, documents: Sequence[Object]) -> None:
        """Raises ApiException."""
        for document in sorted(documents, key=_order):
            self._send(document)

    def check(self, documents: Sequence[Object]) -> list[str]:
        """The errors of a server-side dry run, which admits, defaults and validates but stores nothing, one line
        each.
        """
        problems = []
        for document in documents:
            try:
                self._send(document, dry_run="All")
            except ApiException as error:
                problems.append(f"{identity(document)}: {json.loads(error.body)['message']}")
        return problems

    @contextmanager
    def namespaces(self, documents: Sequence[Object]) -> Iterator[None]:
        """Has the namespaces among the objects, which a dry run needs, for the time of the block."""
        there = {one.metadata.name for one in self._resource(_NAMESPACE).get().items}
        wanted = {one["metadata"]["name"]: one for one in documents if one["kind"] == "Namespace"}
        missing = [one for name, one in wanted.items() if name not in there]
        self.apply(missing)
        try:
            yield
        finally:
            self.delete(missing)

    def delete(self, documents: Sequence[Object]) -> None:
        """Deletes objects, dependents first; missing ones are ignored. Returns when namespaces are gone."""
        for document in sorted(documents, key=_order, reverse=True):
            self._gone(document, lambda resource, where: resource.delete(**where))
        for document in documents:
            while document["kind"] == "Namespace" and not self._gone(
                document, lambda resource, where: resource.get(**where)
            ):
                time.sleep(0.5)

    def _gone(self, document: Object, call: Callable[[Any, dict[str, str | None]], object]) -> bool:
        metadata = document["metadata"]
        try:
            call(self._resource(document), {"name": metadata["name"], "namespace": metadata.get("namespace")})
        except ApiException as error:
            if error.status != 404:
                raise
            return True
        return False

    def _send(self, document: Object, **options: Any) -> None:
        metadata = document["metadata"]
        self._resource(document).server_side_apply(
            body=document, name=metadata["name"], namespace=metadata.get("namespace"),
            field_manager="penstock-tools", force_conflicts=True, **options,
        )  # fmt: skip

    def _resource(self, document: Object) -> Any:
        return self._client.resources.get(api_version=document["apiVersion"], kind=document["kind"])


def _order(document: Object) -> int:
    return _FIRST.index(document["kind"]) if document["kind"] in _FIRST else len(_FIRST)
