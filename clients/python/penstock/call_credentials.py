"""Sends a token with every call of a channel.

Why interceptors, not call credentials: gRPC sends those over TLS alone, and a server on the same machine, or behind a
proxy that ends TLS, has none.

Invariant: the token is asked for at every call, so that a file whose content is renewed is read again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import grpc


class _Details(NamedTuple):
    """What gRPC passes on; it demands these names."""

    method: str
    timeout: float | None
    metadata: Any
    credentials: Any
    wait_for_ready: bool | None
    compression: Any


class BearerToken(
    grpc.UnaryUnaryClientInterceptor,  # type: ignore[misc,type-arg,unused-ignore]
    grpc.UnaryStreamClientInterceptor,  # type: ignore[misc,type-arg,unused-ignore]
):
    """`token` returns it, empty for none."""

    def __init__(self, token: Callable[[], str]) -> None:
        self._token = token

    def intercept_unary_unary(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        """As gRPC wants it."""
        return continuation(self._with_token(details), request)

    def intercept_unary_stream(self, continuation: Callable[..., Any], details: Any, request: Any) -> Any:
        """As gRPC wants it."""
        return continuation(self._with_token(details), request)

    def _with_token(self, details: Any) -> Any:
        token = self._token()
        if not token:
            return details
        metadata = [*(details.metadata or ()), ("authorization", f"Bearer {token}")]
        return _Details(
            details.method,
            details.timeout,
            metadata,
            details.credentials,
            getattr(details, "wait_for_ready", None),
            getattr(details, "compression", None),
        )
