"""The limits of the HTTP port (docs/admin/network-limits.md)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from penstock_server.domain.places import Network

_MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bounds over all peers and for one, and the time that a peer may take.

    `proxies` are networks whose connections stand for many users: bounds for one peer do not hold for them.
    """

    connections: int = 4096
    connections_per_address: int = 3072
    requests: int = 1000
    requests_per_address: int = 750
    bodies: int = 512
    """Bodies that are being received; one that has come whole counts as a request."""
    bodies_per_address: int = 384
    body_bytes: int = 512 * _MIB
    """Bytes of bodies that are in memory before they are carried out, received or being received."""
    body_bytes_per_address: int = 384 * _MIB
    large_requests: int = 2
    """Bodies of more than `large_bytes` that are taken apart and carried out at a time."""
    large_bytes: int = 64 * 1024
    header_seconds: float = 20.0
    """From the first byte of a request to the end of its headers; also from a connection's begin to its end in TLS."""
    idle_seconds: float = 630.0
    """Longer than load balancers keep a connection, so that they and not the server close it."""
    slow_seconds: float = 20.0
    """How long a body, or a reply's reader, may be slower than `bytes_per_second`."""
    bytes_per_second: int = 500
    proxies: Sequence[Network] = ()


DEFAULT_LIMITS = HttpLimits()
