"""Kueue itself, built from its Go module, on the cluster of the tests: a process beside the API server.

Invariants: it manages Pods of namespaces with its label alone, so other tests on the cluster do not notice it; with the
block end everything that it brought: kinds, webhooks, queues. Nothing of a Kueue that a cluster has already is touched:
there the block refuses to begin. The API server has to reach this machine's loopback.
"""

from __future__ import annotations

import base64
import json
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from tests.support import http
from tests.support.certificates import LOCAL, self_signed
from tools.cluster import RESTRICTED, Cluster
from tools.go_programs import go_program, module_directory
from tools.ports import free_port
from tools.programs import KUEUE

API = "/apis/kueue.x-k8s.io/v1beta2"
_CRDS = "/apis/apiextensions.k8s.io/v1/customresourcedefinitions"
_WEBHOOKS = "/apis/admissionregistration.k8s.io/v1"
_LABEL = "penstock.dev/kueue-test"
_CLUSTER_WIDE = ("clusterqueues", "resourceflavors", "workloadpriorityclasses")
# Its certificate for metrics has one place, which a view of /etc of its own has.
_WITH_ETC = 'mount -t overlay overlay -o lowerdir="$1":/etc /etc && shift && exec "$@"'
_SECONDS = 120.0


@dataclass(frozen=True, slots=True)
class Kueue:
    """`labels` are those of namespaces that it manages."""

    cluster: Cluster
    token: str

    @property
    def labels(self) -> Mapping[str, str]:
        return {**RESTRICTED, _LABEL: self.token}

    def queue(self, namespace: str, cpu: str) -> str:
        """A queue of so much `cpu` in all, in which Workloads of higher priority take the place of others."""
        name = f"{namespace}-queue"
        flavor = {"name": self.token, "resources": [{"name": "cpu", "nominalQuota": cpu}]}
        spec = {
            "namespaceSelector": {},
            "resourceGroups": [{"coveredResources": ["cpu"], "flavors": [flavor]}],
            "preemption": {"withinClusterQueue": "LowerPriority"},
        }
        self.cluster.create(f"{API}/resourceflavors", _object("ResourceFlavor", self.token))
        self.cluster.create(f"{API}/clusterqueues", {**_object("ClusterQueue", name), "spec": spec})
        local = {**_object("LocalQueue", "team"), "spec": {"clusterQueue": name}}
        self.cluster.create(f"{API}/namespaces/{namespace}/localqueues", local)
        self.cluster.until(lambda: self.cluster.get(f"{API}/namespaces/{namespace}/localqueues/team"), _is_active)
        return "team"

    def priority(self, value: int) -> str:
        name = f"{self.token}-{value}"
        self.cluster.create(
            f"{API}/workloadpriorityclasses", {**_object("WorkloadPriorityClass", name), "value": value}
        )
        return name

    def workloads(self, namespace: str) -> list[Mapping[str, Any]]:
        return self.cluster.items(f"{API}/namespaces/{namespace}/workloads")


@contextmanager
def kueue(cluster: Cluster, directory: Path) -> Iterator[Kueue]:
    """Raises RuntimeError when the program was not built, or the cluster has a Kueue."""
    program, module = go_program(KUEUE), module_directory(KUEUE)
    if cluster.get("/apis/kueue.x-k8s.io") is not None:
        raise RuntimeError("this cluster has Kueue already: these tests bring their own and would change it")
    made = Kueue(cluster, f"kueue-{uuid.uuid4().hex[:8]}")
    secrets = directory / "etc" / "kueue" / "metrics" / "certs"
    secrets.mkdir(parents=True)
    certificate, _ = self_signed(secrets, LOCAL)
    port, health = free_port(), free_port()
    configuration = directory / "kueue.json"
    configuration.write_text(json.dumps(_configuration(made.token, secrets, port, health)))
    gates = "VisibilityOnDemand=false,TopologyAwareScheduling=false"
    command = [str(program), f"--config={configuration}", f"--feature-gates={gates}", "--zap-log-level=2"]
    command = ["unshare", "--map-root-user", "--mount", "sh", "-c", _WITH_ETC, "sh", str(directory / "etc"), *command]
    log = directory / "kueue.log"
    crds = _crds(module)
    try:
        _establish(cluster, crds)
        with log.open("wb") as output:
            environment = {"KUBECONFIG": cluster.kubeconfig, "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}
            process = subprocess.Popen(command, stdout=output, stderr=output, env=environment)
        try:
            _until_ready(health, process, log)
            _hook(cluster, module, made.token, port, certificate.read_bytes())
            yield made
            # Pods have its finalizer, and only it takes that away.
            cluster.until(lambda: cluster.items("/api/v1/namespaces", f"{_LABEL}={made.token}"), lambda left: not left)
            for plural in _CLUSTER_WIDE:
                for one in cluster.items(f"{API}/{plural}"):
                    cluster.delete(f"{API}/{plural}/{one['metadata']['name']}")
            cluster.until(lambda: [cluster.items(f"{API}/{one}") for one in _CLUSTER_WIDE], lambda left: not any(left))
        finally:
            for plural in ("mutatingwebhookconfigurations", "validatingwebhookconfigurations"):
                cluster.delete(f"{_WEBHOOKS}/{plural}/{made.token}")
            process.terminate()
            process.wait(30)
    finally:
        for crd in crds:
            cluster.delete(f"{_CRDS}/{crd['metadata']['name']}")
        cluster.until(lambda: cluster.get("/apis/kueue.x-k8s.io"), lambda left: left is None)


def _configuration(token: str, certificates: Path, port: int, health: int) -> dict[str, Any]:
    return {
        "apiVersion": "config.kueue.x-k8s.io/v1beta2",
        "kind": "Configuration",
        "namespace": "default",
        "health": {"healthProbeBindAddress": f"127.0.0.1:{health}"},
        "metrics": {"bindAddress": "0"},
        "webhook": {"host": "127.0.0.1", "port": port, "certDir": str(certificates)},
        "leaderElection": {"leaderElect": False},
        "internalCertManagement": {"enable": False},
        "managedJobsNamespaceSelector": {"matchLabels": {_LABEL: token}},
        "integrations": {"frameworks": ["pod"]},
    }


def _object(kind: str, name: str) -> dict[str, Any]:
    return {"apiVersion": "kueue.x-k8s.io/v1beta2", "kind": kind, "metadata": {"name": name}}


def _crds(module: Path) -> list[dict[str, Any]]:
    files = sorted((module / "config" / "components" / "crd" / "bases").glob("*.yaml"))
    return [yaml.load(file.read_text(), yaml.CSafeLoader) for file in files]


def _establish(cluster: Cluster, crds: Sequence[Mapping[str, Any]]) -> None:
    for crd in crds:
        cluster.create(_CRDS, crd)
    for crd in crds:
        cluster.until(lambda: cluster.get(f"{_CRDS}/{crd['metadata']['name']}"), _is_established)  # noqa: B023


def _is_established(crd: Mapping[str, Any] | None) -> bool:
    return _holds(crd, "Established")


def _is_active(queue: Mapping[str, Any] | None) -> bool:
    return _holds(queue, "Active")


def _holds(document: Mapping[str, Any] | None, condition: str) -> bool:
    conditions = (document or {}).get("status", {}).get("conditions") or []
    return any(one["type"] == condition and one["status"] == "True" for one in conditions)


def _hook(cluster: Cluster, module: Path, token: str, port: int, authority: bytes) -> None:
    """Its webhooks for Pods of its namespaces and for its own kinds."""
    manifests = (module / "config" / "components" / "webhook" / "manifests.yaml").read_text()
    for document in yaml.safe_load_all(manifests):
        hooks = []
        for hook in document["webhooks"]:
            (rule,) = hook["rules"]
            if rule["apiGroups"] not in ([""], ["kueue.x-k8s.io"]):
                continue
            place = {"url": f"https://127.0.0.1:{port}{hook['clientConfig']['service']['path']}"}
            hook["clientConfig"] = {**place, "caBundle": base64.b64encode(authority).decode()}
            if rule["apiGroups"] == [""]:
                hook["namespaceSelector"] = {"matchLabels": {_LABEL: token}}
            hooks.append(hook)
        plural = f"{document['kind'].lower()}s"
        cluster.create(f"{_WEBHOOKS}/{plural}", {**document, "metadata": {"name": token}, "webhooks": hooks})


def _until_ready(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    """Raises RuntimeError with what it said last."""
    end = time.monotonic() + _SECONDS
    while True:
        if process.poll() is not None or time.monotonic() > end:
            raise RuntimeError(f"kueue did not get ready: {log.read_text()[-3000:]}")
        try:
            if http.call("GET", f"http://127.0.0.1:{port}/readyz").status == 200:
                return
        except OSError:
            pass
        time.sleep(0.2)
