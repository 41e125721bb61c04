"""Where a stream without a thread puts its messages: the caller of a watch or a log, over gRPC or in the process.

Why: an ordinary stream is a generator that holds a thread for as long as it is open. A method that is marked as
`without_thread` is called with an `Outlet` besides its request, returns at once, and sends from whichever thread has
something to send. grpc calls such a method where its function has the attribute that is set here.

Invariants: the end is sent once, with the status that the error of the handler stands for. `closed` is called once,
whoever ended the stream: the caller, the handler, or a server that gives it up.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, TypeVar

import grpc

from penstock_server.errors import PenstockError
from penstock_server.rpc import status

_Function = TypeVar("_Function", bound=Callable[..., Any])
_Message = TypeVar("_Message")
# By which grpc knows such a function; others have it that are called otherwise, so it is not enough.
_MARK_OF_GRPC = "experimental_non_blocking"
_MARK = "without_thread"


def without_thread(function: _Function) -> _Function:
    """Marks `function(request, context, send)`."""
    setattr(function, _MARK_OF_GRPC, True)
    setattr(function, _MARK, True)
    return function


def is_without_thread(behaviour: Any) -> bool:
    """Also for a handler's missing behaviour."""
    return bool(getattr(behaviour, _MARK, False))


class Outlet:
    """`send` is grpc's, which blocks while the caller takes nothing, or that of a call in the process. `ended` is told
    the error that the handler ends the stream with, if it does.
    """

    def __init__(
        self,
        context: grpc.ServicerContext,
        send: Any,
        peer: str,
        request_id: str,
        ended: Callable[[PenstockError | None], None],
    ) -> None:
        self.peer = peer
        self._told = ended
        self._context: Any = context
        self._send = send
        self._request_id = request_id
        self._lock = threading.Lock()
        self._ended = False

    def ready(self) -> bool:
        """False while the caller has not taken earlier messages; only a call in the process can tell."""
        ready: Callable[[], bool] | None = getattr(self._send, "ready", None)
        return ready() if ready is not None else True

    def when_ready(self, call: Callable[[], None]) -> None:
        """`call` is called each time messages were taken."""
        if hasattr(self._send, "when_ready"):
            self._send.when_ready(call)

    def when_closed(self, call: Callable[[], None]) -> None:
        """At once if it is closed."""
        if not self._context.add_callback(call):
            call()

    def put(self, message: Any) -> None:
        """Sends a message; may block. Nothing happens after the end."""
        if not self._ended:
            self._send(message)

    def end(self, error: PenstockError | None = None) -> None:
        """Ends the stream with OK, or the status of an error; nothing happens if it has ended."""
        with self._lock:
            if self._ended:
                return
            self._ended = True
        self._told(error)
        if error is not None:
            rpc_status = status.status_of(error, self._request_id)
            self._context.set_trailing_metadata((("grpc-status-details-bin", rpc_status.SerializeToString()),))
            self._context.set_code(status.grpc_code(rpc_status))
            self._context.set_details(rpc_status.message)
        self._send(None)

    def abandon(self) -> None:
        """Cancels the call, also while a message is being sent."""
        self._ended = True
        self._context.cancel()


class OutletReader(Generic[_Message]):
    """An outlet as the services use it; `converted` makes what is sent of a message."""

    def __init__(self, outlet: Outlet, converted: Callable[[_Message], Any]) -> None:
        self._outlet = outlet
        self._converted = converted

    @property
    def peer(self) -> str:
        return self._outlet.peer

    def ready(self) -> bool:
        return self._outlet.ready()

    def when_ready(self, call: Callable[[], None]) -> None:
        self._outlet.when_ready(call)

    def send(self, message: _Message) -> None:
        self._outlet.put(self._converted(message))

    def end(self, error: PenstockError | None) -> None:
        self._outlet.end(error)

    def abandon(self) -> None:
        self._outlet.abandon()
