"""Two teams on one installation in multi-user mode, with runs that are really executed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from tests.support import http
from tools.embedded import Embedded
from tools.testing import runs, specs

A, B = "team-a", "team-b"
ROLES = {
    "roles": [
        {"role": "editor", "namespaces": [A], "users": ["alice"]},
        {"role": "editor", "namespaces": [B], "users": ["bob"]},
    ]
}
WRITES = ["sh", "-c", 'mkdir -p "$(dirname "$0")" && echo "$1" >"$0"', "{{$.outputs.artifacts['data'].path}}", "hello"]
SPEC = specs.container(WRITES, artifacts={"data": "system.Dataset"}, cached=True)
V2, OWN = "/apis/v2beta1", "/apis/penstock/v1"


@dataclass(frozen=True)
class User:
    """Calls over REST, through a proxy that the server trusts."""

    url: str
    name: str

    def call(self, method: str, path: str, body: dict[str, Any] | None = None) -> http.Reply:
        return http.call(method, self.url + path, body, headers={"kubeflow-userid": self.name})

    def get(self, path: str) -> Any:
        reply = self.call("GET", path)
        assert reply.status == 200, reply.body
        return reply.json

    def experiment(self, namespace: str) -> str:
        body = {"display_name": "same name", "namespace": namespace}
        return str(self.call("POST", f"{V2}/experiments", body).json["experiment_id"])

    def executed(self, experiment_id: str) -> str:
        body = {"display_name": "a run", "experiment_id": experiment_id, "pipeline_spec": SPEC}
        run_id = str(self.call("POST", f"{V2}/runs", body).json["run_id"])
        state = runs.until(
            lambda: self.get(f"{V2}/runs/{run_id}")["state"], lambda found: found not in ("PENDING", "RUNNING"), 120
        )
        assert state == "SUCCEEDED"
        return run_id

    def task_state(self, run_id: str) -> str:
        (state,) = (
            one["state"] for one in self.get(f"{OWN}/runs/{run_id}/tasks")["tasks"] if one.get("path") == "only"
        )
        return str(state)

    def artifacts(self, namespace: str) -> list[dict[str, Any]]:
        return list(self.get(f"{OWN}/artifacts?namespace={namespace}")["artifacts"])


@pytest.fixture(scope="module")
def shared(tmp_path_factory: pytest.TempPathFactory, environments: Path) -> Iterator[Embedded]:
    directory = tmp_path_factory.mktemp("namespaces")
    role_file = directory / "roles.yaml"
    role_file.write_text(json.dumps(ROLES))
    environment = {
        "MULTIUSER": "true",
        "PENSTOCK_AUTH": "kubeflow",
        "PENSTOCK_TRUSTED_PROXIES": "127.0.0.0/8",
        "PENSTOCK_ROLE_FILE": str(role_file),
    }
    with Embedded(directory / "data", environment=environment, environments=environments) as embedded:
        yield embedded


def test_results_and_artifacts_are_a_teams_own(shared: Embedded) -> None:
    alice, bob = User(shared.http, "alice"), User(shared.http, "bob")
    experiment = alice.experiment(A)
    first, again, other = alice.executed(experiment), alice.executed(experiment), bob.executed(bob.experiment(B))
    assert [alice.task_state(first), alice.task_state(again), bob.task_state(other)] == [
        "SUCCEEDED",
        "CACHED",
        "SUCCEEDED",
    ]
    for user, stranger, namespace, expected in ((alice, bob, A, {first}), (bob, alice, B, {other})):
        found = user.artifacts(namespace)
        assert {one["run_id"] for one in found} == expected
        assert stranger.call("GET", f"{OWN}/artifacts?namespace={namespace}").status == 403
        for one in found:
            # It lies where the server says that runs of the namespace keep theirs, by its name and by its URI.
            place = one["uri"].removeprefix("file:///")
            by_uri = f"/artifacts/get?source=volume&bucket=localhost&keyEncoding=storage&key={place}"
            for path in (f"{OWN}/artifacts/{one['name']}:download", by_uri):
                assert user.call("GET", path).body == b"hello\n", path
                assert stranger.call("GET", path).status == 403, path


def test_clients_are_told_of_the_mode(shared: Embedded) -> None:
    found = http.call("GET", f"{shared.http}{V2}/healthz").json
    assert (found["multi_user"], found["apiServerMultiUser"]) == (True, True)
