"""The server with the rights of deploy/kustomize/tasks and no other: they are enough, and each is needed.

The server logs in as a ServiceAccount of its own; its executor does as the cluster's administrator, so that tasks run
whatever the server may see of them.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from penstock.client import Client

from tests.support import http, rights
from tests.support.http import Reply
from tests.support.replicas import Program
from tools.cluster import Cluster
from tools.kube_penstock import Surroundings, surroundings
from tools.ports import free_port
from tools.testing import kube_specs, runs

_ACCOUNT = "penstock-server"
RIGHTS = [("get", "pods"), ("get", "pods/log"), ("list", "events")]


@dataclass(frozen=True, slots=True)
class Running:
    """A server that is to be started as somebody, and a task that runs until the namespace is gone."""

    cluster: Cluster
    around: Surroundings
    directory: Path
    server: Program
    http: str
    run_id: str
    pod: str

    def log_in(self, without: rights.Right | None) -> None:
        """The server again, with another login."""
        config = rights.login(self.cluster, self.around.namespace, self.directory, _ACCOUNT, without)
        self.server.kill()
        self.server.start({**self.server.environment, "KUBECONFIG": str(config)})
        self.server.ready()

    def ask(self, what: str) -> Reply:
        return http.call("GET", f"{self.http}/k8s/{what}?podname={self.pod}&runid={self.run_id}")

    def reasons(self) -> set[str]:
        """Of the Pod's events."""
        return {event["reason"] for event in self.ask("pod/events").json.get("items", ())}

    def failing(self) -> set[str]:
        return {what for what in ("pod", "pod/events", "pod/logs") if self.ask(what).status != 200}


@pytest.fixture(scope="module")
def running(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    directory = tmp_path_factory.mktemp("rights")
    grpc, gateway, dispatch = (f"127.0.0.1:{free_port()}" for _ in range(3))
    with surroundings(cluster, directory / "data") as around:
        environment = {**os.environ, **around.environment}
        server = Program(
            "server",
            ["penstock_server.main", "--grpc", grpc, "--http", gateway, "--data-dir", str(directory / "data"),
             "--dispatch", dispatch, "--metadata-database", "none"],
            directory, environment,
        )  # fmt: skip
        executor = Program(
            "executor",
            ["penstock_executor.main", "--backend", "kubernetes", "--server", dispatch, "--no-lineage",
             "--data-dir", str(directory / "data")],
            directory, environment,
        )  # fmt: skip
        try:
            for program in (server, executor):
                program.start()
                program.ready()
            with Client(grpc) as client:
                run_id = runs.start(client, kube_specs.shell("echo it runs; sleep 600"))
                found = runs.until(
                    lambda: runs.tasks(client, run_id),
                    lambda tasks: "only" in tasks and tasks["only"].state == "RUNNING" and tasks["only"].pod_name,
                )
            yield Running(cluster, around, directory, server, f"http://{gateway}", run_id, found["only"].pod_name)
        finally:
            executor.kill()
            server.kill()


def test_every_right_is_known() -> None:
    assert rights.rights_in(rights.rules_of(_ACCOUNT)) == sorted(RIGHTS)


def test_the_role_is_enough(running: Running) -> None:
    running.log_in(None)
    # The kubelet tells of a start a little later, and so may the API server of a new Role.
    runs.until(lambda: running.ask("pod").json.get("status", {}).get("phase"), lambda phase: phase == "Running")
    runs.until(running.reasons, lambda reasons: reasons >= {"Scheduled", "Started"})
    runs.until(lambda: running.ask("pod/logs").body, lambda log: log == b"it runs\n")


@pytest.mark.parametrize(
    ("verb", "resource", "fail"),
    # A Pod and its events are one answer; before its log is shown, it is asked whether others write to that, too.
    [
        ("get", "pods", {"pod", "pod/events", "pod/logs"}),
        ("list", "events", {"pod", "pod/events"}),
        ("get", "pods/log", {"pod/logs"}),
    ],
)
def test_one_right_less(running: Running, verb: str, resource: str, fail: set[str]) -> None:
    running.log_in((verb, resource))
    runs.until(running.failing, lambda failing: failing == fail)
    for what in fail:
        reply = running.ask(what)
        assert reply.status == 503
        assert f"cannot {verb} resource" in reply.body.decode()
