"""In-process calls of the server's own handlers, for the REST gateway.

Why: a call over a loopback socket costs four thread switches and two encodings, as much as the work itself
(docs/decisions/in-process-gateway.md). Invariants: a call goes through the same interceptors and handlers as over gRPC,
on threads of a bounded pool, and ends in the same status; its deadline is kept; a handler can see that its call was
cancelled (`is_active`), and who called (`peer`).
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import grpc

from penstock_server.access.credentials import NOBODY, Credentials
from penstock_server.rpc.inlet import Inlet, settle
from penstock_server.rpc.outlet import is_without_thread

_THREADS = 64
Metadata = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True)
class _Details:
    method: str
    invocation_metadata: Metadata


class LocalCallError(grpc.RpcError):
    """A status other than OK, in the form in which gRPC raises it."""

    def __init__(self, code: grpc.StatusCode, details: str, trailing: Metadata = ()) -> None:
        super().__init__(f"{code.name}: {details}")
        self._code, self._details, self._trailing = code, details, trailing

    def code(self) -> grpc.StatusCode:
        return self._code

    def details(self) -> str:
        return self._details

    def trailing_metadata(self) -> Any:
        return self._trailing


class HandlerRegistry:
    """Passed as the server to generated `add_…_to_server` functions: adds the handlers to it and keeps them for
    `find`.
    """

    def __init__(self, server: grpc.Server) -> None:
        self._server = server
        self._generic: list[grpc.GenericRpcHandler] = []

    def add_generic_rpc_handlers(self, handlers: Sequence[grpc.GenericRpcHandler]) -> None:
        self._generic += handlers
        self._server.add_generic_rpc_handlers(handlers)

    def add_registered_method_handlers(self, service: str, handlers: dict[str, Any]) -> None:
        """Called by code that newer versions of grpc generate."""
        add = getattr(self._server, "add_registered_method_handlers", None)
        if add is not None:
            add(service, handlers)

    def find(self, details: Any) -> Any:
        return next(filter(None, (generic_handler.service(details) for generic_handler in self._generic)), None)


class LocalCalls:
    """Unary and streaming calls by full method name. `messages` are objects of the generated classes, or bytes."""

    def __init__(self, handlers: HandlerRegistry, interceptor: grpc.ServerInterceptor) -> None:
        self._handlers = handlers
        self._interceptor = interceptor
        self._pool = ThreadPoolExecutor(_THREADS, thread_name_prefix="local")
        # A stream that waits for more holds its thread, so streams have a pool of their own.
        self._streams = ThreadPoolExecutor(_THREADS, thread_name_prefix="stream")

    def unary(
        self, method: str, message: Any, timeout: float, metadata: Metadata, credentials: Credentials
    ) -> tuple[Future[Any], LocalContext]:
        """The reply, of the kind that the request was. The future raises LocalCallError."""
        context = LocalContext(metadata, timeout, credentials)
        return self._pool.submit(self._unary, method, message, context), context

    def stream(
        self, method: str, message: Any, timeout: float | None, metadata: Metadata, credentials: Credentials
    ) -> LocalStream:
        return LocalStream(self, method, message, LocalContext(metadata, timeout, credentials))

    def submit(self, work: Callable[[], Any]) -> Future[Any]:
        """Runs `work` on a thread of the pool for streams."""
        return self._streams.submit(work)

    def close(self) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        self._streams.shutdown(wait=False, cancel_futures=True)

    def handler(self, method: str, metadata: Metadata) -> Any:
        details: Any = _Details(method, metadata)
        handler = self._interceptor.intercept_service(self._handlers.find, details)
        if handler is None:
            raise LocalCallError(grpc.StatusCode.UNIMPLEMENTED, "Method not found!")
        return handler

    def _unary(self, method: str, message: Any, context: LocalContext) -> Any:
        if context.cancelled():
            raise LocalCallError(grpc.StatusCode.CANCELLED, "the client is gone")
        handler = self.handler(method, context.invocation_metadata())
        request = _decoded(handler, message)
        with context.status_scope():
            reply = handler.unary_unary(request, context)
        return _encoded(handler, reply) if isinstance(message, bytes) else reply


class LocalStream:
    """The messages of a server stream, one at a time from any thread."""

    def __init__(self, calls: LocalCalls, method: str, message: Any, context: LocalContext) -> None:
        self._calls = calls
        self._method = method
        self._message = message
        self._context = context
        self._messages: Iterator[Any] | None = None
        self._encode: Callable[[Any], Any] = lambda reply: reply
        self._lock = threading.Lock()
        self._inlet: Inlet | None = None

    def next(self) -> Future[Any]:
        """The next message, None behind the last. The future raises LocalCallError."""
        if self._inlet is not None:
            return self._inlet.next()
        if self._messages is not None:
            return self._calls.submit(self._next)
        first: Future[Any] = Future()
        self._calls.submit(lambda: self._begin(first))
        return first

    def _begin(self, first: Future[Any]) -> None:
        """Begins the call, and has `first` answered by its handler."""
        try:
            with self._context.status_scope():
                handler = self._calls.handler(self._method, self._context.invocation_metadata())
                if is_without_thread(handler.unary_stream):
                    inlet = Inlet(self._encoding(handler), self._context.aborted_with)
                    handler.unary_stream(_decoded(handler, self._message), self._context, inlet)
                    self._inlet = inlet
                    inlet.next(first)
                    return
            settle(first, self._next())
        except BaseException as error:  # noqa: BLE001 - the future is what the caller waits for
            settle(first, error=error)

    def _encoding(self, handler: Any) -> Callable[[Any], Any]:
        if isinstance(self._message, bytes):
            return lambda reply: _encoded(handler, reply)
        # A message that is shared stands for the message itself.
        return lambda reply: getattr(reply, "message", reply)

    def cancel(self) -> None:
        """Cancels the context, and closes the handler's generator as soon as it is not running."""
        self._context.cancel()
        self._calls.submit(self._close)

    def _close(self) -> None:
        with self._lock:
            close = getattr(self._messages, "close", None)
            if close is not None:
                close()

    def _next(self) -> Any:
        with self._lock, self._context.status_scope():
            if self._messages is None:
                handler = self._calls.handler(self._method, self._context.invocation_metadata())
                if isinstance(self._message, bytes):
                    self._encode = lambda reply: _encoded(handler, reply)
                self._messages = handler.unary_stream(_decoded(handler, self._message), self._context)
            if not self._context.is_active():
                return None
            message = next(self._messages, None)
            return None if message is None else self._encode(message)


class LocalContext(grpc.ServicerContext):  # type: ignore[misc]
    """The context of an in-process call. `credentials` are those of the gateway's caller."""

    def __init__(self, metadata: Metadata, timeout: float | None, credentials: Credentials = NOBODY) -> None:
        self.credentials = credentials
        self._metadata = metadata
        self._deadline = None if timeout is None else time.monotonic() + timeout
        self._canceled = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], None]] = []
        self._trailing: Metadata = ()
        self._status: tuple[grpc.StatusCode, str] | None = None

    def status_scope(self) -> _StatusScope:
        return _StatusScope(self)

    def aborted_with(self) -> LocalCallError | None:
        return None if self._status is None else LocalCallError(*self._status, self._trailing)

    def invocation_metadata(self) -> Any:
        return self._metadata

    def time_remaining(self) -> Any:
        return None if self._deadline is None else max(0.0, self._deadline - time.monotonic())

    def is_active(self) -> bool:
        return not self._canceled.is_set() and self.time_remaining() != 0.0

    def cancel(self) -> None:
        with self._lock:
            self._canceled.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()

    def cancelled(self) -> bool:
        return self._canceled.is_set()

    def add_callback(self, callback: Callable[[], None]) -> bool:
        """It is called when the caller is done with the call, which every caller says."""
        with self._lock:
            if self._canceled.is_set():
                return False
            self._callbacks.append(callback)
        return True

    def abort(self, code: grpc.StatusCode, details: str) -> Any:
        self._status = (code, details)
        # grpc raises a bare Exception as well.
        raise Exception

    def abort_with_status(self, status: Any) -> Any:
        self._trailing = status.trailing_metadata or ()
        self.abort(status.code, status.details)

    def set_trailing_metadata(self, trailing_metadata: Any) -> None:
        self._trailing = trailing_metadata

    def trailing_metadata(self) -> Any:
        return self._trailing

    def send_initial_metadata(self, initial_metadata: Any) -> None:
        pass

    def set_code(self, code: grpc.StatusCode) -> None:
        self._status = (code, self._status[1] if self._status else "")

    def set_details(self, details: str) -> None:
        self._status = (self._status[0] if self._status else grpc.StatusCode.UNKNOWN, details)

    def peer(self) -> str:
        """As in gRPC: `ipv4:127.0.0.1:40000`."""
        address = self.credentials.address
        if not address:
            return "local"
        kind, host = ("ipv6", f"[{address}]") if ":" in address else ("ipv4", address)
        return f"{kind}:{host}:{self.credentials.port}"

    def peer_identities(self) -> Any:
        return None

    def peer_identity_key(self) -> Any:
        return None

    def auth_context(self) -> Any:
        return {}


class _StatusScope:
    """Entered around a handler: turns its exception into the LocalCallError that the caller sees."""

    def __init__(self, context: LocalContext) -> None:
        self._context = context

    def __enter__(self) -> None:
        pass

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        aborted_with = self._context.aborted_with()
        if aborted_with is not None:
            raise aborted_with from error
        if isinstance(error, Exception) and not isinstance(error, LocalCallError):
            raise LocalCallError(grpc.StatusCode.UNKNOWN, "Internal Server Error") from error


def _decoded(handler: Any, message: Any) -> Any:
    decode = handler.request_deserializer if isinstance(message, bytes) else None
    return message if decode is None else decode(message)


def _encoded(handler: Any, reply: Any) -> bytes:
    content: bytes = reply if handler.response_serializer is None else handler.response_serializer(reply)
    return content
