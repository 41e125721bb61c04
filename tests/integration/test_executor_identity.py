"""Executors prove themselves to real servers: by a secret that is replaced meanwhile, and each as itself."""

from __future__ import annotations

import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_rpc
from penstock.client import Client
from penstock.secret_file import SecretFile
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_api.internal.v1 import dispatch_pb2_grpc as rpc
from penstock_api.v2beta1 import run_pb2
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.errors import ServerUnavailableError
from penstock_server.access.authentication import Authentication
from penstock_server.access.executors import ServiceAccounts
from penstock_server.access.token_review import Reviewed
from penstock_server.rpc.dispatch_server import build_dispatch_server
from penstock_server.runtime import ConditionSignal, SystemClock
from penstock_server.services.dispatch import DispatchService
from penstock_server.storage.database import Database
from penstock_server.telemetry import Telemetry

from tests.support.replicas import Replicas
from tests.support.rows import prepared
from tools.embedded import Embedded
from tools.testing import runs, specs

OLD, NEW = "the-secret-of-yesterday", "the-secret-of-tomorrow"


def tried(address: str, secret: str = "") -> grpc.StatusCode:
    """What a call with this secret comes to."""
    metadata = (("authorization", f"Bearer {secret}"),) if secret else ()
    with grpc.insecure_channel(address) as channel:
        try:
            rpc.DispatchServiceStub(channel).FilterRuns(pb.FilterRunsRequest(), timeout=30, metadata=metadata)
        except grpc.RpcError as error:
            return cast(grpc.Call, error).code()
    return grpc.StatusCode.OK


async def test_a_secret_is_replaced_while_programs_run(tmp_path: Path) -> None:
    accepted, shown = tmp_path / "accepted", tmp_path / "shown"
    accepted.write_text(OLD)
    shown.write_text(OLD)
    environment = {"PENSTOCK_EXECUTOR_AUTH": "secret", "PENSTOCK_DISPATCH_SECRET_FILE": str(accepted)}
    replicas = Replicas(tmp_path, f"sqlite:///{tmp_path}/test.db", servers=1, executors=0, environment=environment)
    with replicas:
        executor = DispatchClient(replicas.dispatch[0], "one/1", secret=SecretFile(shown))
        await executor.filter_runs(["any"])
        shown.write_text(NEW)
        with pytest.raises(ServerUnavailableError, match="UNAUTHENTICATED"):
            await executor.filter_runs(["any"])
        accepted.write_text(f"{NEW}\n{OLD}\n")
        await executor.filter_runs(["any"])
        assert tried(replicas.dispatch[0], OLD) is grpc.StatusCode.OK
        accepted.write_text(NEW)
        assert tried(replicas.dispatch[0], OLD) is grpc.StatusCode.UNAUTHENTICATED
        # Nobody is let in for want of a file.
        accepted.unlink()
        assert tried(replicas.dispatch[0], NEW) is grpc.StatusCode.UNAVAILABLE
        await executor.close()


def test_up_makes_a_secret_that_only_its_user_can_read(tmp_path: Path, environments: Path) -> None:
    with Embedded(tmp_path / "data", environments=environments) as up, Client(up.grpc) as client:
        key = up.data_dir / "dispatch.key"
        assert stat.S_IMODE(key.stat().st_mode) == 0o600
        assert tried(up.dispatch) is grpc.StatusCode.UNAUTHENTICATED
        assert tried(up.dispatch, "guessed-by-somebody") is grpc.StatusCode.UNAUTHENTICATED
        assert tried(up.dispatch, SecretFile(key).newest()) is grpc.StatusCode.OK
        with grpc.insecure_channel(up.dispatch) as channel:
            with pytest.raises(grpc.RpcError) as caught:
                service_rpc.MetadataStoreServiceStub(channel).GetArtifacts(service_pb.GetArtifactsRequest(), timeout=30)
            assert cast(grpc.Call, caught.value).code() is grpc.StatusCode.UNAUTHENTICATED
            # Whoever watches the server needs no secret.
            health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert runs.finished(client, runs.start(client, specs.container(["true"]))).state == run_pb2.SUCCEEDED


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--dispatch", "0.0.0.0:0"], "choose how executors prove themselves with --executor-auth"),
        (["--dispatch", "[::]:0"], "or insist with --insecure"),
        (["--http", "0.0.0.0:0"], "choose how callers prove who they are with --auth"),
        (["--grpc", "[::]:0"], "or insist with --insecure"),
        (["--multi-user"], "--multi-user: namespaces can be kept apart only"),
        (["--executor-auth", "secret", "--dispatch-secret-file", "/no/such/file"], "No such file"),
        (["--executor-auth", "service-account"], "needs an --executor-account"),
        (["--executor-auth", "certificate"], "needs a --executor-certificate-name"),
    ],
)
def test_a_server_that_is_not_safe_does_not_start(tmp_path: Path, options: list[str], says: str) -> None:
    command = [sys.executable, "-m", "penstock_server.main", "--data-dir", str(tmp_path), "--grpc", "127.0.0.1:0"]
    done = subprocess.run(
        [*command, *(["--http", "127.0.0.1:0"] if "--http" not in options else []), *options],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 2
    assert says in " ".join(done.stderr.split())


def test_unless_somebody_insists(tmp_path: Path) -> None:
    environment = {"PENSTOCK_INSECURE": "true"}
    replicas = Replicas(tmp_path, f"sqlite:///{tmp_path}/test.db", servers=1, executors=0, environment=environment)
    port = replicas.dispatch[0].rpartition(":")[2]
    replicas.servers[0].variables["PENSTOCK_DISPATCH"] = f"0.0.0.0:{port}"
    with replicas:
        assert tried(replicas.dispatch[0]) is grpc.StatusCode.OK


@dataclass(frozen=True)
class Executor:
    """Calls under an id, as the service account whose token it has."""

    stub: rpc.DispatchServiceStub
    executor_id: str
    token: str

    def call(self, method: str, request: Any) -> Any:
        metadata = (("authorization", f"Bearer {self.token}"),)
        return getattr(self.stub, method)(request, timeout=30, metadata=metadata)

    def claim(self) -> list[pb.ClaimedRun]:
        return list(self.call("ClaimRuns", pb.ClaimRunsRequest(executor_id=self.executor_id, max_runs=9)).runs)

    def heartbeat(self, run_id: str, fence: int, **options: bool) -> pb.HeartbeatResponse:
        lease = pb.Lease(run_id=run_id, fence=fence)
        request = pb.HeartbeatRequest(executor_id=self.executor_id, leases=[lease], lease_millis=60_000)
        for option, value in options.items():
            setattr(request, option, value)
        reply: pb.HeartbeatResponse = self.call("Heartbeat", request)
        return reply

    def report(self, run_id: str, fence: int) -> int:
        update = pb.RunUpdate(state="FAILED", at_millis=1, finished=True)
        transitions = pb.RunTransitions(run_id=run_id, fence=fence, run=update)
        request = pb.ReportTransitionsRequest(executor_id=self.executor_id, runs=[transitions])
        return int(self.call("ReportTransitions", request).results[0].outcome)


@contextmanager
def serving(database: Database) -> Iterator[rpc.DispatchServiceStub]:
    """A server that knows two accounts of executors; their tokens are their names."""
    users = {name: Reviewed(f"system:serviceaccount:penstock:{name}", ()) for name in ("one", "other")}
    accounts = ServiceAccounts(users.get, ["penstock:one", "penstock:other"])
    service = DispatchService(database, ConditionSignal(), SystemClock(), lambda spec: "pipeline")
    running = build_dispatch_server(service, None, Telemetry(lambda: (0, 0)), Authentication([accounts]))
    port = running.server.add_insecure_port("127.0.0.1:0")
    running.server.start()
    try:
        with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield rpc.DispatchServiceStub(channel)
    finally:
        running.server.stop(None).wait()


@pytest.fixture
def database(tmp_path: Path) -> Iterator[Database]:
    made = Database(f"sqlite:///{tmp_path}/test.db")
    made.migrate()
    yield made
    made.dispose()


def test_another_account_does_not_get_at_a_run_by_any_name(database: Database) -> None:
    prepared(database, "r1")
    with serving(database) as stub:
        holder = Executor(stub, "executor/1", "one")
        (run,) = holder.claim()
        for executor_id in ("executor/1", "executor/2", "x/executor/2"):
            thief = Executor(stub, executor_id, "other")
            assert thief.claim() == []
            assert thief.heartbeat("r1", run.fence).lost_run_ids == ["r1"]
            assert thief.heartbeat("r1", run.fence, release=True, release_all=True).lost_run_ids == ["r1"]
            assert thief.report("r1", run.fence) == pb.RunReport.OUTCOME_FENCED
        assert not holder.heartbeat("r1", run.fence).lost_run_ids
        # Its own next incarnation does.
        (again,) = Executor(stub, "executor/2", "one").claim()
        assert holder.report("r1", run.fence) == pb.RunReport.OUTCOME_FENCED
        assert Executor(stub, "executor/2", "one").report("r1", again.fence) == pb.RunReport.OUTCOME_COMMITTED


def test_within_one_account_a_run_is_reported_by_whoever_holds_it(database: Database) -> None:
    prepared(database, "r1")
    with serving(database) as stub:
        (run,) = Executor(stub, "executor/1", "one").claim()
        assert Executor(stub, "second/1", "one").report("r1", run.fence) == pb.RunReport.OUTCOME_FENCED
        holder = Executor(stub, "executor/1", "one")
        assert holder.report("r1", run.fence) == pb.RunReport.OUTCOME_COMMITTED
        # Once more, as after a lost answer.
        assert holder.report("r1", run.fence) == pb.RunReport.OUTCOME_COMMITTED


@pytest.mark.parametrize("executor_id", ["", "/", "x" * 111, "a\nb/1", "a\0b/1"])
def test_what_is_no_id_of_an_executor(database: Database, executor_id: str) -> None:
    with serving(database) as stub, pytest.raises(grpc.RpcError) as caught:
        Executor(stub, executor_id, "one").claim()
    error = cast(grpc.Call, caught.value)
    assert error.code() is grpc.StatusCode.INVALID_ARGUMENT
    assert "executor_id" in str(error.details())
