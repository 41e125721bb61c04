"""Checks deploy/: renders every overlay, checks it by the rules of its README and with the API server of KUBECONFIG.

Invariants: nothing is left in the cluster; without KUBECONFIG the API server's check is skipped, and the program says
so. Each rule of `problems` is one sentence of deploy/README.md.

Example: KUBECONFIG=… python -m tools.deploy_check
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence, Set
from pathlib import Path
from typing import Any

import yaml

from tools.go_programs import go_program
from tools.manifests import Applier, Object, identity, render

_DEPLOY = Path(__file__).resolve().parents[1] / "deploy"
COMPOSE = "github.com/compose-spec/compose-go/v2/cmd@v2.16.2"
_ROOTS = ("base", "overlays/embedded", "overlays/production")
_COMPONENTS = (
    "components/tls", "components/multi-user", "components/executor-pods", "components/namespace-stores",
    "components/kueue", "components/processes",
)  # fmt: skip
# SQLite is for one process.
_NEVER = {("overlays/embedded", "components/processes")}
# Components of a namespace of tasks, not of the installation.
_OF_TASKS = ("components/namespace-stores", "components/kueue")
# A TokenReview is of no namespace.
_OF_THE_CLUSTER = [{"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}]
# What else may hold in the whole cluster, and only in the component that brings it.
_CLUSTER_WIDE = {
    "components/multi-user": {
        "aggregate-to-kubeflow-pipelines-edit", "aggregate-to-kubeflow-pipelines-view",
        "kubeflow-pipelines-edit", "kubeflow-pipelines-view", "penstock-server-access-reviews",
    }
}  # fmt: skip
_RESTRICTED = {"allowPrivilegeEscalation": False, "readOnlyRootFilesystem": True, "capabilities": {"drop": ["ALL"]}}


def main() -> int:
    rendered = {root: render(_DEPLOY / "kustomize" / root) for root in _ROOTS}
    for overlay in _ROOTS[1:]:
        rendered |= {
            f"{overlay} with {one}": _with_component(overlay, one)
            for one in _COMPONENTS
            if (overlay, one) not in _NEVER
        }
    allowed = {root: _CLUSTER_WIDE.get(root.rpartition(" ")[2], set()) for root in rendered}
    # The base names no place for artifacts and no image of agents; overlays are what is deployed.
    found = {root: problems(documents, allowed[root], complete=root != "base") for root, documents in rendered.items()}
    found["compose.yaml"] = compose_problems(_DEPLOY / "compose.yaml")
    if os.environ.get("KUBECONFIG"):
        server = Applier()
        with server.namespaces([one for documents in rendered.values() for one in documents]):
            for root, documents in rendered.items():
                # What the kinds of other operators may hold is known where they are installed.
                found[root] += server.check([one for one in documents if not _is_certificates(one)])
    else:
        print("KUBECONFIG is not set: what the API server says is left out")
    for name, lines in found.items():
        print(f"{name}: {len(lines)} problems", *lines, sep="\n  ")
    return 1 if any(found.values()) else 0


def _with_component(overlay: str, component: str) -> list[Object]:
    with tempfile.TemporaryDirectory(dir=_DEPLOY.parent) as name:
        # kustomize takes no absolute paths.
        above = Path("..") / "deploy" / "kustomize"
        content: dict[str, Any] = {"resources": [str(above / overlay)], "components": [str(above / component)]}
        if component in _OF_TASKS:
            tasks = {"namespace": "penstock-tasks", "components": [str(".." / above / component)]}
            (Path(name) / "tasks").mkdir()
            (Path(name) / "tasks" / "kustomization.yaml").write_text(yaml.safe_dump(tasks))
            content = {"resources": [str(above / overlay), "tasks"]}
        (Path(name) / "kustomization.yaml").write_text(yaml.safe_dump(content))
        return render(Path(name))


def _is_certificates(document: Object) -> bool:
    return bool(document["apiVersion"].startswith("cert-manager.io/"))


def compose_problems(file: Path) -> list[str]:
    """The errors that the reference implementation reports for a compose file."""
    done = subprocess.run([str(go_program(COMPOSE)), str(file)], capture_output=True, text=True)
    return [] if done.returncode == 0 else [done.stderr or done.stdout]


def problems(documents: Sequence[Object], cluster_wide: Set[str] = frozenset(), *, complete: bool) -> list[str]:
    """The rules that the objects violate, one line each. `cluster_wide` names what may hold in the whole cluster."""
    workloads = [one for one in documents if one["kind"] == "Deployment"]
    lines = [line for one in workloads for line in _workload(one)]
    lines += [line for one in workloads for line in _references(one, documents)]
    lines += [line for one in documents for line in _selectors(one, documents)]
    lines += [line for one in documents if one["kind"] == "Certificate" for line in _issuer(one, documents)]
    lines += [line for one in documents if one["kind"].endswith("RoleBinding") for line in _binding(one, documents)]
    lines += [line for one in documents if one["kind"] == "Namespace" for line in _closed(one, documents)]
    for one in documents:
        labels = one["metadata"].get("labels", {})
        if one["kind"] == "Namespace" and labels.get("pod-security.kubernetes.io/enforce") != "restricted":
            lines.append(f"{identity(one)}: Pod Security is not enforced as restricted")
        if one["kind"] == "Secret":
            lines.append(f"{identity(one)}: we ship no Secret")
        wide = one["kind"] == "ClusterRole" and one["metadata"]["name"] not in cluster_wide
        if wide and one["rules"] != _OF_THE_CLUSTER:
            lines.append(f"{identity(one)}: nothing holds in the whole cluster but to ask whose token it is")
    if complete:
        lines += _agent_image(workloads)
    return lines


def _workload(deployment: Object) -> Iterator[str]:
    name, spec = identity(deployment), deployment["spec"]["template"]["spec"]
    security = spec.get("securityContext", {})
    if not security.get("runAsNonRoot") or security.get("seccompProfile") != {"type": "RuntimeDefault"}:
        yield f"{name}: has to run as non-root with the runtime's seccomp profile"
    if not isinstance(security.get("runAsUser"), int):
        yield f"{name}: runAsUser has to be a number"
    if spec.get("enableServiceLinks") is not False:
        yield f"{name}: variables of Services clash with our own"
    if not spec.get("topologySpreadConstraints"):
        yield f"{name}: replicas are not spread"
    for container in spec["containers"]:
        if container.get("securityContext") != _RESTRICTED:
            yield f"{name}: the securityContext of {container['name']} is not {_RESTRICTED}"
        yield from _resources(name, container)
        ports = {port["name"] for port in container["ports"]}
        for probe in ("livenessProbe", "readinessProbe"):
            if container.get(probe, {}).get("httpGet", {}).get("port") not in ports:
                yield f"{name}: {probe} of {container['name']} asks no port of it"
        if any(variable["name"] == "PENSTOCK_TLS_CERT" for variable in container["env"]):
            probes = [value for key, value in container.items() if key.endswith("Probe")]
            if any(probe.get("httpGet", {}).get("scheme") != "HTTPS" for probe in probes):
                yield f"{name}: probes of {container['name']} do not speak TLS"
        mounted = {mount["name"] for mount in container["volumeMounts"]}
        if mounted != {volume["name"] for volume in spec["volumes"]}:
            yield f"{name}: volumes and mounts of {container['name']} are not the same"


def _resources(name: str, container: Object) -> Iterator[str]:
    if not {"cpu", "memory"} <= container["resources"].get("requests", {}).keys():
        yield f"{name}: {container['name']} requests no cpu or no memory"
    if "memory" not in container["resources"].get("limits", {}):
        yield f"{name}: the memory of {container['name']} has no limit"


def _references(one: Object, documents: Sequence[Object]) -> Iterator[str]:
    existing = {(doc["kind"], doc["metadata"].get("namespace"), doc["metadata"]["name"]) for doc in documents}
    existing |= {
        ("Secret", doc["metadata"]["namespace"], doc["spec"]["secretName"])
        for doc in documents
        if doc["kind"] == "Certificate"
    }
    spec, namespace = one["spec"]["template"]["spec"], one["metadata"]["namespace"]
    wanted = [("ServiceAccount", spec["serviceAccountName"])]
    for volume in spec["volumes"]:
        if "persistentVolumeClaim" in volume:
            wanted.append(("PersistentVolumeClaim", volume["persistentVolumeClaim"]["claimName"]))
        if "configMap" in volume:
            wanted.append(("ConfigMap", volume["configMap"]["name"]))
        if "secret" in volume:
            wanted.append(("Secret", volume["secret"]["secretName"]))
    sources = [variable.get("valueFrom", {}) for container in spec["containers"] for variable in container["env"]]
    wanted += [("ConfigMap", one["configMapKeyRef"]["name"]) for one in sources if "configMapKeyRef" in one]
    for kind, name in wanted:
        if (kind, namespace, name) not in existing:
            yield f"{identity(one)}: there is no {kind} {name}"


def _issuer(certificate: Object, documents: Sequence[Object]) -> Iterator[str]:
    namespace, wanted = certificate["metadata"]["namespace"], certificate["spec"]["issuerRef"]
    existing = {
        (doc["kind"], doc["metadata"]["name"]) for doc in documents if doc["metadata"].get("namespace") == namespace
    }
    if (wanted["kind"], wanted["name"]) not in existing:
        yield f"{identity(certificate)}: there is no {wanted['kind']} {wanted['name']}"


def _selectors(one: Object, documents: Sequence[Object]) -> Iterator[str]:
    """Services, budgets and policies each have to select a workload's Pods."""
    kind, spec = one["kind"], one.get("spec", {})
    if kind == "Service":
        wanted = spec["selector"]
    elif kind in ("PodDisruptionBudget", "Deployment"):
        wanted = spec["selector"]["matchLabels"]
    elif kind == "NetworkPolicy":
        wanted = spec["podSelector"].get("matchLabels", {})
    else:
        return
    namespace = one["metadata"]["namespace"]
    templates = [
        doc["spec"]["template"]
        for doc in documents
        if doc["kind"] == "Deployment" and doc["metadata"]["namespace"] == namespace
    ]
    chosen = [pod for pod in templates if wanted.items() <= pod["metadata"]["labels"].items()]
    if wanted and not chosen:
        yield f"{identity(one)}: selects nothing"
    named = {port["name"] for pod in chosen for container in pod["spec"]["containers"] for port in container["ports"]}
    for port in spec.get("ports", ()) if kind == "Service" else ():
        if port["targetPort"] not in named:
            yield f"{identity(one)}: no Pod has a port {port['targetPort']}"


def _binding(binding: Object, documents: Sequence[Object]) -> Iterator[str]:
    existing = {(doc["kind"], doc["metadata"].get("namespace"), doc["metadata"]["name"]) for doc in documents}
    kind = binding["roleRef"]["kind"]
    if (kind, binding["metadata"].get("namespace"), binding["roleRef"]["name"]) not in existing:
        yield f"{identity(binding)}: there is no {kind} {binding['roleRef']['name']}"
    for subject in binding["subjects"]:
        if (subject["kind"], subject["namespace"], subject["name"]) not in existing:
            yield f"{identity(binding)}: there is no {subject['kind']} {subject['namespace']}/{subject['name']}"


def _closed(namespace: Object, documents: Sequence[Object]) -> Iterator[str]:
    """Whether nothing goes in or out of a namespace but what its other policies say."""
    name = namespace["metadata"]["name"]
    closed = {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    mine = [one for one in documents if one["metadata"].get("namespace") == name]
    if not any(one["kind"] == "NetworkPolicy" and one["spec"] == closed for one in mine):
        yield f"{identity(namespace)}: no policy denies what no other one allows"


def _agent_image(workloads: Sequence[Object]) -> Iterator[str]:
    containers: list[dict[str, Any]] = [
        one for work in workloads for one in work["spec"]["template"]["spec"]["containers"]
    ]
    images = {container["image"] for container in containers}
    agents = [
        variable["value"]
        for container in containers
        for variable in container["env"]
        if variable["name"] == "PENSTOCK_AGENT_IMAGE"
    ]
    if len(images) != 1 or agents != list(images):
        yield f"server, executor and agents have to run one image, they run {sorted(images)} and {agents}"


if __name__ == "__main__":
    sys.exit(main())
