"""A webhook that puts a container into every Pod which never ends, as a service mesh does: the task's own decides."""

from __future__ import annotations

import base64
import ipaddress
import json
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from cryptography import x509
from penstock.client import Client
from penstock_api.v2beta1 import run_pb2

from tests.support.certificates import self_signed
from tools.cluster import Cluster
from tools.kube_penstock import KubePenstock
from tools.testing import kube_specs, runs

_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1/mutatingwebhookconfigurations"
_SIDECAR = {
    "name": "mesh",
    "image": kube_specs.IMAGE,
    "imagePullPolicy": "IfNotPresent",
    "command": ["sh", "-c", "trap 'exit 0' TERM; sleep 3600 & wait"],
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}


class _Injector(BaseHTTPRequestHandler):
    injected: list[str]

    def do_POST(self) -> None:
        review = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        request = review["request"]
        self.injected.append(request["object"]["metadata"]["name"])
        patch = json.dumps([{"op": "add", "path": "/spec/containers/-", "value": _SIDECAR}]).encode()
        answer: dict[str, Any] = {"uid": request["uid"], "allowed": True, "patchType": "JSONPatch"}
        answer["patch"] = base64.b64encode(patch).decode()
        body = json.dumps({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": answer}).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        return


@contextmanager
def injecting(cluster: Cluster, namespace: str, directory: Path) -> Iterator[list[str]]:
    """The names of the Pods that got a sidecar."""
    address = cluster.node_address()
    certificate, key = self_signed(directory, [x509.IPAddress(ipaddress.ip_address(address))])
    injected: list[str] = []
    handler = type("Injector", (_Injector,), {"injected": injected})
    server = ThreadingHTTPServer((address, 0), handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate, key)
    server.socket = context.wrap_socket(server.socket, server_side=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    name = f"injector-{namespace}"
    webhook = {
        "name": "sidecars.penstock.test",
        "clientConfig": {
            "url": f"https://{address}:{server.server_port}/",
            "caBundle": base64.b64encode(certificate.read_bytes()).decode(),
        },
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
        "rules": [{"operations": ["CREATE"], "apiGroups": [""], "apiVersions": ["v1"], "resources": ["pods"]}],
        "admissionReviewVersions": ["v1"],
        "sideEffects": "None",
        "failurePolicy": "Fail",
    }
    try:
        cluster.create(_WEBHOOKS, {"metadata": {"name": name}, "webhooks": [webhook]})
        yield injected
    finally:
        cluster.delete(f"{_WEBHOOKS}/{name}")
        server.shutdown()
        server.server_close()


def test_the_tasks_own_end_decides(own_kube: KubePenstock, tmp_path: Path) -> None:
    cluster, namespace = own_kube.cluster, own_kube.namespace
    with injecting(cluster, namespace, tmp_path) as injected, Client(own_kube.up.grpc) as client:
        # The API server hears of a webhook a little after it was made.
        while not injected:
            runs.finished(client, runs.start(client, kube_specs.container(["true"])))
        for ending, state in (("true", run_pb2.SUCCEEDED), ("exit 3", run_pb2.FAILED)):
            for artifacts in ({}, {"data": "system.Dataset"}):
                spec = kube_specs.shell(f"echo said; {ending}", artifacts=artifacts)
                run_id = runs.start(client, spec)
                run = runs.finished(client, run_id)
                assert run.state == state, run.error.message
                assert runs.tasks(client, run_id)["only"].pod_name in injected
                log = runs.until(lambda: runs.log(client, run_id, "only"), lambda log: log.endswith(b"said\n"))  # noqa: B023
                assert log == b"said\n"
                cluster.until(lambda: cluster.pods(namespace, run_id), lambda pods: pods == [])  # noqa: B023
