"""Two real servers on one database that bound the unfinished runs of a namespace."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

from tests.support.http import Reply, call
from tests.support.replicas import Replicas
from tools.testing import specs

ROLES = """
roles:
  - {role: editor, namespaces: [ours], users: [alice]}
  - {role: editor, namespaces: [theirs], users: [bob]}
"""


def test_the_limit_of_a_namespace_holds_on_all_servers_and_touches_no_other(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/penstock.db"
    (tmp_path / "roles.yaml").write_text(ROLES)
    environment = {
        "PENSTOCK_AUTH": "tokens",
        "PENSTOCK_ROLE_FILE": str(tmp_path / "roles.yaml"),
        "MULTIUSER": "true",
        "PENSTOCK_MAX_RUNS_PER_NAMESPACE": "2",
        "KUBECONFIG": "",
    }
    with Replicas(tmp_path, url, servers=2, executors=0, environment=environment) as servers:
        alice, bob = _token(url, "alice"), _token(url, "bob")

        def post(server: int, token: str, path: str, document: Any) -> Reply:
            where = f"{servers.http[server]}/apis/v2beta1/{path}"
            return call("POST", where, document, headers={"Authorization": f"Bearer {token}"})

        def experiment(token: str, namespace: str) -> str:
            made = post(0, token, "experiments", {"display_name": "one", "namespace": namespace}).json
            return str(made["experiment_id"])

        def run(server: int, token: str, of: str) -> Reply:
            spec = specs.container(["true"])
            return post(server, token, "runs", {"display_name": "r", "experiment_id": of, "pipeline_spec": spec})

        ours, theirs = experiment(alice, "ours"), experiment(bob, "theirs")
        assert [run(server, alice, ours).status for server in (0, 1)] == [200, 200]
        for server in (0, 1):
            refused = run(server, alice, ours)
            assert refused.status == 429
            assert refused.json["code"] == 8
            assert "namespace 'ours' has 2 runs that have not ended" in refused.json["message"]
        assert [run(server, bob, theirs).status for server in (0, 1)] == [200, 200]


def _token(url: str, user: str) -> str:
    command = [sys.executable, "-m", "penstock_server.main", "tokens", "--database", url, "create", "test"]
    words = [*command, "--user", user, "--role", "editor"]
    return subprocess.run(words, check=True, capture_output=True, text=True).stdout.strip()
