"""The options of all gRPC servers: sizes, times and numbers that grpc itself keeps.

Connections have no greatest age: it would end logs that are followed, and what a connection may hold is bounded by its
streams, not by its age.
"""

from __future__ import annotations

import resource

MAX_MESSAGE_BYTES = 128 * 1024 * 1024
MAX_STREAMS_OF_A_CONNECTION = 128
HANDSHAKE_SECONDS = 10
IDLE_SECONDS = 600
METADATA_BYTES = 16 * 1024
# Files that are left to HTTP, databases, stores and logs.
_OTHER_FILES = 8192


def server_options(*, shares_port: bool = False) -> list[tuple[str, int]]:
    """For `grpc.server`; `shares_port` with other processes of this server, each of which gets a part of what comes."""
    return [
        ("grpc.max_receive_message_length", MAX_MESSAGE_BYTES),
        ("grpc.max_send_message_length", MAX_MESSAGE_BYTES),
        ("grpc.so_reuseport", int(shares_port)),
        # Executors and server ping each other often, so that no run is handed to an executor that is gone.
        ("grpc.http2.min_ping_interval_without_data_ms", 2_000),
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.keepalive_time_ms", 10_000),
        ("grpc.keepalive_timeout_ms", 5_000),
        ("grpc.http2.max_pings_without_data", 0),
        ("grpc.server_handshake_timeout_ms", HANDSHAKE_SECONDS * 1000),
        ("grpc.max_connection_idle_ms", IDLE_SECONDS * 1000),
        ("grpc.max_concurrent_streams", MAX_STREAMS_OF_A_CONNECTION),
        ("grpc.max_metadata_size", METADATA_BYTES),
        ("grpc.absolute_max_metadata_size", 2 * METADATA_BYTES),
        ("grpc.max_allowed_incoming_connections", _most_connections()),
    ]


def _most_connections() -> int:
    """So many that files are left for everything else; a half where there are few."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return max(files // 2, files - _OTHER_FILES)
