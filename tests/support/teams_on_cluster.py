"""Two teams on one server that asks the cluster: whose a token is (TokenReview), what its account may do
(SubjectAccessReview, with the ClusterRoles of deploy/kustomize/components/multi-user).

Invariants: the server's own account has the rights of the manifests and no other; each team has a namespace with an
editor, `default-editor`, and a viewer; what is made for all of the cluster goes when the block ends.
"""

from __future__ import annotations

import os
import uuid
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from tests.support import http, rights
from tests.support.http import Reply
from tests.support.replicas import Program
from tools.cluster import Cluster
from tools.ports import free_port
from tools.testing import runs

_COMPONENT = Path(__file__).resolve().parents[2] / "deploy" / "kustomize" / "components" / "multi-user"
_RBAC = "/apis/rbac.authorization.k8s.io/v1"
AUDIENCE = "pipelines.kubeflow.org"
# What Kubeflow itself has, and the component's roles are collected into.
_KUBEFLOW = ("kubeflow-edit", "kubeflow-view")
_SERVER = "penstock-server"


@dataclass(frozen=True)
class Teams:
    """`tokens` by account and team's letter, as in `default-editor of a`; `objects` are those of team a, by kind."""

    cluster: Cluster
    own: str
    http: str
    grpc: str
    dispatch: str
    a: str
    b: str
    tokens: dict[str, str] = field(default_factory=dict)
    objects: dict[str, str] = field(default_factory=dict)

    def rest(self, who: str, verb: str, path: str, document: Any = None, **headers: str) -> Reply:
        shown = {"Authorization": f"Bearer {self.tokens[who]}"} if who else {}
        return http.call(verb, self.http + path, document, headers={**shown, **headers})

    def account(self, namespace: str, name: str) -> None:
        self.cluster.create(f"/api/v1/namespaces/{namespace}/serviceaccounts", {"metadata": {"name": name}})

    def token(self, namespace: str, name: str, audience: str = AUDIENCE) -> str:
        path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{name}/token"
        body = {"spec": {"audiences": [audience] if audience else []}}
        made = self.cluster.wait(self.cluster.client.create(path, body))
        return str(made["status"]["token"])

    def may(self, who: str, namespace: str) -> None:
        """Waits until a role that was just bound holds: roles are collected a little after they are made."""
        path = f"/apis/v2beta1/experiments?namespace={namespace}"
        runs.until(lambda: self.rest(who, "GET", path).status, lambda code: code == 200)

    def refused(self, request_id: str) -> Any:
        """The line in the audit log of the call with this id that was refused."""

        def lines() -> list[dict[str, Any]]:
            path = "/apis/penstock/v1/audit?result=PERMISSION_DENIED&page_size=1000"
            found = self.rest("administrator", "GET", path).json
            return [line for line in found.get("audit_events", ()) if line["request_id"] == request_id]

        (line,) = runs.until(lines, bool)
        return line


@contextmanager
def teams_on_cluster(
    cluster: Cluster,
    directory: Path,
    *,
    host: str = "127.0.0.1",
    executors: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Teams]:
    """The server listens on `host`, and takes reports of these accounts of its own namespace, if there are any;
    `environment` is further one of it.
    """
    with ExitStack() as stack:
        own, a, b = (stack.enter_context(cluster.namespace(name)) for name in ("penstock-own", "team-a", "team-b"))
        for one in _cluster_roles():
            create(stack, cluster, "clusterroles", one)
        grpc_port, http_port, dispatch = (f"{host}:{free_port(host)}" for _ in range(3))
        found = Teams(cluster, own, f"http://{http_port}", grpc_port, dispatch, a, b)
        for letter, namespace in (("a", a), ("b", b)):
            for account, role in (("default-editor", "kubeflow-edit"), ("viewer", "kubeflow-view")):
                found.account(namespace, account)
                bind(cluster, namespace, "ClusterRole", role, account)
                found.tokens[f"{account} of {letter}"] = found.token(namespace, account)
        found.account(own, "administrator")
        subject = {"kind": "ServiceAccount", "name": "administrator", "namespace": own}
        reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}
        binding = {"metadata": {"name": own}, "roleRef": reference, "subjects": [subject]}
        create(stack, cluster, "clusterrolebindings", binding)
        found.tokens["administrator"] = found.token(own, "administrator")
        config = _server_login(stack, found, directory)
        accounts = [word for name in executors for word in ("--executor-account", f"{own}:{name}")]
        executing = ["--executor-auth", "service-account", "--tasks-namespace", own, *accounts] if executors else []
        server = Program(
            "server",
            ["penstock_server.main", "--grpc", grpc_port, "--http", http_port, "--dispatch", dispatch,
             "--data-dir", str(directory / "data"), "--multi-user", "--auth", "kubeflow",
             "--trusted-proxy", "192.0.2.1/32", "--authorization", "kubernetes", *executing],
            directory, {**os.environ, "KUBECONFIG": str(config), "POD_NAMESPACE": own, **(environment or {})},
        )  # fmt: skip
        stack.callback(server.kill)
        server.start()
        server.ready()
        yield found


def bind(cluster: Cluster, namespace: str, kind: str, role: str, account: str, of: str = "") -> None:
    """Gives an account of the namespace `of`, unless given the same, a role there."""
    body = {
        "metadata": {"name": f"{role}-{account}"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role},
        "subjects": [{"kind": "ServiceAccount", "name": account, "namespace": of or namespace}],
    }
    cluster.create(f"{_RBAC}/namespaces/{namespace}/rolebindings", body)


def role_of_manifests(cluster: Cluster, namespace: str, account: str, of: str) -> None:
    """Gives the account of the namespace `of` the Role that deploy/kustomize/tasks has for it."""
    body = {"metadata": {"name": account}, "rules": rights.rules_of(account)}
    cluster.create(f"{_RBAC}/namespaces/{namespace}/roles", body)
    bind(cluster, namespace, "Role", account, account, of)


def login(cluster: Cluster, namespace: str, account: str, directory: Path) -> Path:
    """A kubeconfig with a token of the account."""
    path = f"/api/v1/namespaces/{namespace}/serviceaccounts/{account}/token"
    token = cluster.wait(cluster.client.create(path, {"spec": {}}))["status"]["token"]
    config = yaml.safe_load(Path(cluster.kubeconfig).read_text())
    for user in config["users"]:
        user["user"] = {"token": token}
    kubeconfig = directory / f"{account}.kubeconfig"
    kubeconfig.write_text(yaml.safe_dump(config))
    return kubeconfig


def create(stack: ExitStack, cluster: Cluster, kind: str, body: Mapping[str, Any]) -> None:
    """A role or a binding for all of the cluster, until the stack is closed."""
    cluster.create(f"{_RBAC}/{kind}", body)
    stack.callback(cluster.delete, f"{_RBAC}/{kind}/{body['metadata']['name']}")


def _cluster_roles() -> Iterator[dict[str, Any]]:
    """Those of the component, Kubeflow's two, and what the server may ask."""
    yield from yaml.safe_load_all((_COMPONENT / "cluster-roles.yaml").read_text())
    for name in _KUBEFLOW:
        label = f"rbac.authorization.kubeflow.org/aggregate-to-{name}"
        selector = {"clusterRoleSelectors": [{"matchLabels": {label: "true"}}]}
        yield {"metadata": {"name": name}, "aggregationRule": selector, "rules": []}


def _server_login(stack: ExitStack, teams: Teams, directory: Path) -> Path:
    """A kubeconfig of an account that may ask for reviews and has no other right yet."""
    cluster, namespace = teams.cluster, teams.own
    teams.account(namespace, _SERVER)
    name = f"{_SERVER}-{uuid.uuid4().hex[:8]}"
    asked = next(yaml.safe_load_all((_COMPONENT / "reviews.yaml").read_text()))["rules"]
    tokens = {"apiGroups": ["authentication.k8s.io"], "resources": ["tokenreviews"], "verbs": ["create"]}
    create(stack, cluster, "clusterroles", {"metadata": {"name": name}, "rules": [*asked, tokens]})
    subject = {"kind": "ServiceAccount", "name": _SERVER, "namespace": namespace}
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name}
    create(
        stack, cluster, "clusterrolebindings",
        {"metadata": {"name": name}, "roleRef": reference, "subjects": [subject]},
    )  # fmt: skip
    return login(cluster, namespace, _SERVER, directory)
