"""Role bindings of the database, as authorization reads them: kept for seconds, so that few questions are queries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence

from penstock_server.access.roles import Binding
from penstock_server.domain.role_binding import RoleBinding

_SECONDS = 2.0


class StoredBindings:
    """`read` returns the bindings of the database; it may block, and is called by one thread at a time."""

    def __init__(self, read: Callable[[], Sequence[RoleBinding]], seconds: float = _SECONDS) -> None:
        self._read = read
        self._seconds = seconds
        self._lock = threading.Lock()
        self._bindings: tuple[Binding, ...] = ()
        self._read_at = float("-inf")

    def bindings(self) -> Sequence[Binding]:
        """Raises UnavailableError when the database is away and what was read is too old."""
        with self._lock:
            if time.monotonic() - self._read_at >= self._seconds:
                self._bindings = tuple(Binding(one.role, one.namespace, one.user, one.group) for one in self._read())
                self._read_at = time.monotonic()
            return self._bindings
