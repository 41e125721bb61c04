"""Two teams on one installation in multi-user mode, with runs that are really executed."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support import http
from tests.support.rest_user import OWN, V2, User
from tools.embedded import Embedded

A, B = "team-a", "team-b"
ROLES = {
    "roles": [
        {"role": "editor", "namespaces": [A], "users": ["alice"]},
        {"role": "editor", "namespaces": [B], "users": ["bob"]},
    ]
}


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
