"""What the gRPC servers of both ports have in common: limits and health.

Invariants: threads are bounded; a call that waits takes one, and so does a stream of bytes, so there are more threads
than cores. What a caller may take is bounded (`arrival`, `options`). Health checks have threads of their own: they are
answered when all others are taken.
"""

from __future__ import annotations

from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc
from grpc_health.v1 import health, health_pb2, health_pb2_grpc

from penstock_server.domain.places import Network
from penstock_server.rpc.arrival import ArrivalInterceptor
from penstock_server.rpc.options import server_options
from penstock_server.telemetry import Limited, count_nothing

# Of them streams hold 48 at most, calls whose message does not come 24, and large ones that wait for a turn 20.
THREADS = 128


@dataclass(frozen=True, slots=True)
class RunningServer:
    """`health` is the servicer of grpc.health.v1; each of `services` has a status there."""

    server: grpc.Server
    health: health.HealthServicer
    services: Sequence[str]

    def set_serving(self, serving: bool) -> None:
        """Says whether new calls are welcome."""
        state = health_pb2.HealthCheckResponse.SERVING if serving else health_pb2.HealthCheckResponse.NOT_SERVING
        for name in ("", *self.services):
            self.health.set(name, state)


def new_server(
    name: str,
    interceptors: Sequence[grpc.ServerInterceptor],
    proxies: Sequence[Network] = (),
    limited: Limited = count_nothing,
    *,
    shares_port: bool = False,
) -> grpc.Server:
    """A server without services. Its threads are called after `name`.

    Calls of `proxies` stand for many peers: bounds of one do not hold for them. `limited` counts what bounds refuse.
    `shares_port`: with other processes of this server.
    """
    return grpc.server(
        ThreadPoolExecutor(max_workers=THREADS, thread_name_prefix=name),
        interceptors=[ArrivalInterceptor(proxies, limited=limited), *interceptors],
        options=server_options(shares_port=shares_port),
    )


def add_health(server: Any) -> health.HealthServicer:
    """Registers grpc.health.v1."""
    servicer = health.HealthServicer()
    health_pb2_grpc.add_HealthServicer_to_server(servicer, server)
    return servicer
