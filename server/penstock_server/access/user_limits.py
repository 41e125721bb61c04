"""How much one user may take of a server: calls a second, bytes of messages a minute, streams at a time.

Why here: only who has proved who they are has a name to count by; strangers count by their address, before
(docs/admin/network-limits.md). A user is counted by name, whatever they prove it with, so a second token gives no
second share. Invariants: each server process counts for itself; what is refused is counted in a metric and not in the
audit log, since it was refused for its number and not for what it wanted; the log names a user once a minute at most.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass

from penstock_server.domain.budgets import Budgets
from penstock_server.domain.caller import Caller
from penstock_server.errors import ResourceExhaustedError
from penstock_server.telemetry import Limit, Limited, count_nothing

log = logging.getLogger(__name__)

_MINUTE = 60.0
# Of calls, so many seconds' worth may come at once: pages of the web UI and scripts that list come in bursts.
BURST_SECONDS = 10
_STREAM_RETRY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class UserBounds:
    """0 is no bound."""

    calls: int = 0
    """A second."""
    upload_bytes: int = 0
    """A minute."""
    streams: int = 0
    """At a time."""


class UserLimits:
    """`limited` is told of every call that was turned away."""

    def __init__(
        self,
        bounds: UserBounds,
        limited: Limited = count_nothing,
        timer: Callable[[], float] = time.monotonic,
    ) -> None:
        self.bounds = bounds
        self._limited = limited
        calls, uploads = bounds.calls, bounds.upload_bytes
        self._calls = Budgets(calls, calls * BURST_SECONDS, timer=timer) if calls else None
        self._uploads = Budgets(uploads / _MINUTE, uploads, timer=timer) if uploads else None
        self._lines = Budgets(1 / _MINUTE, 1, timer=timer)

    def admit(self, caller: Caller, size: Callable[[], int]) -> None:
        """Counts a call; `size` returns how many bytes it brought. Raises ResourceExhaustedError."""
        if self._calls is not None:
            wait = self._calls.take(caller.user)
            if wait:
                text = f"you make more than {self.bounds.calls} calls a second (--max-calls-per-user of the server)"
                raise self._refusal(Limit.USER_CALLS, caller, text, wait)
        if self._uploads is not None:
            wait = self._uploads.take(caller.user, size())
            if wait:
                text = (
                    f"you have sent more than {self.bounds.upload_bytes} bytes in a minute "
                    "(--max-upload-bytes-per-user of the server)"
                )
                raise self._refusal(Limit.USER_UPLOAD_BYTES, caller, text, wait)

    def no_stream_left(self, caller: Caller, streams: str) -> ResourceExhaustedError:
        """The error for one stream more than a user may have open; `streams` says how many of which are."""
        text = f"you have {streams} open (--max-streams-per-user of the server); end one"
        return self._refusal(Limit.USER_STREAMS, caller, text, _STREAM_RETRY_SECONDS)

    def _refusal(self, limit: Limit, caller: Caller, text: str, wait: float) -> ResourceExhaustedError:
        self._limited(limit)
        if not self._lines.take(f"{limit.value} {caller.user}"):
            what = limit.value.removeprefix("user_").replace("_", " ")
            log.warning("user %.255r is over the limit of %s and refused", caller.user, what)
        return ResourceExhaustedError(f"{text}; try again in {max(wait, 0.1):.1f} seconds", retry_seconds=wait)


NO_LIMITS = UserLimits(UserBounds())
