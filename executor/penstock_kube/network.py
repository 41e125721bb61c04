"""Errors of the network below HTTP, and how a connection is given up.

Invariant: whatever the HTTP client raises becomes an UnavailableError, which says whether the request may have arrived.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager

import aiohttp

from penstock_kube.errors import UnavailableError

CONNECT_SECONDS = 10.0
STALL_SECONDS = 90.0
"""How long a peer may be silent that has to say something: the server sends a watch a bookmark about once a minute."""


@contextmanager
def network_errors(what: str) -> Iterator[None]:
    """Turns network errors into an UnavailableError that says whether the request may have arrived."""
    try:
        yield
    except (aiohttp.ConnectionTimeoutError, aiohttp.ClientConnectorError) as error:
        raise UnavailableError(0, "NoConnection", f"{what}: no connection: {error}", ambiguous=False) from error
    except asyncio.TimeoutError as error:
        raise UnavailableError(0, "Timeout", f"{what}: no answer in time") from error
    except (aiohttp.ClientError, OSError) as error:
        raise UnavailableError(0, "ConnectionLost", f"{what}: {error or type(error).__name__}") from error


def abort(response: aiohttp.ClientResponse) -> None:
    """Aborts an unread response, without TLS's closing handshake, which would outlive the client."""
    connection = response.connection
    if connection is not None and connection.transport is not None:
        connection.transport.abort()
