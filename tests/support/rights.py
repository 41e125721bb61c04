"""The Roles of deploy/kustomize/tasks, and logins that have one of them, whole or less one right.

Invariant: rules are split to one resource each, so that a right is (verb, resource) wherever the manifest writes it.
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from tools.cluster import Cluster

_TASKS = Path(__file__).resolve().parents[2] / "deploy" / "kustomize" / "tasks"
_FILES = tuple(_TASKS / name for name in ("access.yaml", "session-secrets.yaml", "warm-workers.yaml"))

Right = tuple[str, str]


def rules_of(account: str) -> list[dict[str, Any]]:
    """The rules of the Role with this name."""
    return [
        {**rule, "resources": [resource]}
        for file in _FILES
        for one in yaml.safe_load_all(file.read_text())
        if one["kind"] == "Role" and one["metadata"]["name"] == account
        for rule in one["rules"]
        for resource in rule["resources"]
    ]


def rights_in(rules: Sequence[Mapping[str, Any]]) -> list[Right]:
    return sorted((verb, *rule["resources"]) for rule in rules for verb in rule["verbs"])


def login(
    cluster: Cluster, namespace: str, directory: Path, account: str, without: Right | None, *further: str
) -> Path:
    """A kubeconfig of a ServiceAccount made here, which has the Role of that name less one verb of one resource, and
    the Roles `further`, less that right, too."""
    directory.mkdir(parents=True, exist_ok=True)
    rules = [
        {**rule, "verbs": [verb for verb in rule["verbs"] if (verb, *rule["resources"]) != without]}
        for role in (account, *further)
        for rule in rules_of(role)
    ]
    name = f"{account}-{uuid.uuid4().hex[:8]}"
    rbac = f"/apis/rbac.authorization.k8s.io/v1/namespaces/{namespace}"
    accounts = f"/api/v1/namespaces/{namespace}/serviceaccounts"
    cluster.create(accounts, {"metadata": {"name": name}})
    cluster.create(f"{rbac}/roles", {"metadata": {"name": name}, "rules": [rule for rule in rules if rule["verbs"]]})
    binding = {
        "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": name, "namespace": namespace}],
    }
    cluster.create(f"{rbac}/rolebindings", binding)
    token = cluster.wait(cluster.client.create(f"{accounts}/{name}/token", {"spec": {}}))["status"]["token"]
    config = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    kubeconfig = directory / f"{name}.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    return kubeconfig
