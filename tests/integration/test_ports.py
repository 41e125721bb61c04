"""Which services each port of the server has: what executors call is on theirs alone."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import ExitStack
from typing import Any, cast

import grpc
import pytest
from google.protobuf import empty_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha.proto_reflection_descriptor_database import ProtoReflectionDescriptorDatabase
from ml_metadata.proto import metadata_store_service_pb2 as service_pb
from ml_metadata.proto import metadata_store_service_pb2_grpc as service_rpc
from penstock_api.internal.v1 import dispatch_pb2, dispatch_pb2_grpc
from penstock_server.access.credentials import NOBODY
from penstock_server.domain.dispatch import Claim
from penstock_server.rpc.dispatch_server import build_dispatch_server
from penstock_server.rpc.grpc_server import THREADS, new_server
from penstock_server.rpc.local import LocalCallError
from penstock_server.rpc.server import Services, build_server, public_services
from penstock_server.telemetry import Telemetry

from tools.embedded import Embedded

DISPATCH = dispatch_pb2.DESCRIPTOR.services_by_name["DispatchService"]


def error_of(address: str, service: str, method: str, secret: str = "") -> grpc.Call:
    metadata = _shown(secret)
    with grpc.insecure_channel(address) as channel, pytest.raises(grpc.RpcError) as caught:
        message = empty_pb2.Empty
        call = channel.unary_unary(f"/{service}/{method}", message.SerializeToString, message.FromString)
        call(message(), timeout=30, metadata=metadata)
    return cast(grpc.Call, caught.value)


def _shown(secret: str) -> tuple[tuple[str, str], ...]:
    return (("authorization", f"Bearer {secret}"),) if secret else ()


@pytest.mark.parametrize("method", [method.name for method in DISPATCH.methods])
def test_the_public_port_does_not_serve_executors(up: Embedded, method: str) -> None:
    """An executor of the release before ends tasks when it hears UNIMPLEMENTED; it waits when it hears UNAVAILABLE."""
    error = error_of(up.grpc, DISPATCH.full_name, method)
    assert error.code() is grpc.StatusCode.UNAVAILABLE
    assert "executors are not served on this port" in str(error.details())


def test_the_public_port_does_not_reflect_their_service(up: Embedded) -> None:
    with grpc.insecure_channel(up.grpc) as channel:
        assert not [name for name in ProtoReflectionDescriptorDatabase(channel).get_services() if "internal" in name]


@pytest.mark.parametrize("service", [*(one.full_name for one in public_services()), "grpc.reflection.v1alpha"])
def test_the_port_of_executors_serves_nobody_else(up: Embedded, service: str) -> None:
    assert error_of(up.dispatch, service, "List", up.secret.newest()).code() is grpc.StatusCode.UNIMPLEMENTED


def test_the_port_of_executors_has_their_service_the_metadata_store_and_health(up: Embedded) -> None:
    with grpc.insecure_channel(up.dispatch) as channel:
        options: Any = {"timeout": 30, "metadata": _shown(up.secret.newest())}
        dispatch_pb2_grpc.DispatchServiceStub(channel).FilterRuns(dispatch_pb2.FilterRunsRequest(), **options)
        request = service_pb.GetExecutionTypesRequest()
        service_rpc.MetadataStoreServiceStub(channel).GetExecutionTypes(request, **options)
        for name in ("", DISPATCH.full_name, "ml_metadata.MetadataStoreService"):
            check = health_pb2.HealthCheckRequest(service=name)
            reply = health_pb2_grpc.HealthStub(channel).Check(check, timeout=30)
            assert reply.status == health_pb2.HealthCheckResponse.SERVING


@pytest.mark.parametrize("method", [method.name for method in DISPATCH.methods])
def test_calls_inside_the_process_do_not_reach_it(method: str) -> None:
    unused: Any = None
    services = Services(**dict.fromkeys(Services.__dataclass_fields__, unused))
    public = build_server(services, None, Telemetry(lambda: (0, 0)))
    future, _ = public.local.unary(f"/{DISPATCH.full_name}/{method}", b"", 30, (), NOBODY)
    with pytest.raises(LocalCallError) as caught:
        future.result(30)
    public.local.close()
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED


class Waiting:
    """In place of the service: claims that wait until they are let go."""

    def __init__(self) -> None:
        self.executors = self
        self.begun = threading.Semaphore(0)
        self.go = threading.Event()

    def saw(self, *_: object) -> None:
        pass

    def claim(self, *_: object, **__: object) -> Claim:
        self.begun.release()
        self.go.wait(60)
        return Claim()


@pytest.fixture
def waiting() -> Iterator[tuple[Waiting, str]]:
    service: Any = Waiting()
    running = build_dispatch_server(service, None, Telemetry(lambda: (0, 0)))
    port = running.server.add_insecure_port("127.0.0.1:0")
    running.set_serving(True)
    running.server.start()
    yield service, f"127.0.0.1:{port}"
    service.go.set()
    running.server.stop(None).wait()


def test_health_is_told_while_every_thread_is_taken(waiting: tuple[Waiting, str]) -> None:
    service, address = waiting
    with ExitStack() as stack:
        # A connection has a bound of calls of its own, so there are several.
        alone = [("grpc.use_local_subchannel_pool", 1)]
        channels = [stack.enter_context(grpc.insecure_channel(address, alone)) for _ in range(4)]
        stubs = [dispatch_pb2_grpc.DispatchServiceStub(channel) for channel in channels[1:]]
        claims = [
            stub.ClaimRuns.future(dispatch_pb2.ClaimRunsRequest(executor_id="e/1"), timeout=60)
            for stub in stubs
            for _ in range(70)
        ]
        for _ in range(THREADS):
            assert service.begun.acquire(timeout=30)
        with pytest.raises(grpc.RpcError):
            dispatch_pb2_grpc.DispatchServiceStub(channels[0]).FilterRuns(dispatch_pb2.FilterRunsRequest(), timeout=0.5)
        reply = health_pb2_grpc.HealthStub(channels[0]).Check(health_pb2.HealthCheckRequest(), timeout=30)
        assert reply.status == health_pb2.HealthCheckResponse.SERVING
        service.go.set()
        for claim in claims:
            claim.result(60)


def test_a_server_without_health_is_a_server() -> None:
    """The threads for health are no service: what is not registered stays unknown."""
    server = new_server("bare", [])
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    assert error_of(f"127.0.0.1:{port}", "grpc.health.v1.Health", "Check").code() is grpc.StatusCode.UNIMPLEMENTED
    server.stop(None).wait()
