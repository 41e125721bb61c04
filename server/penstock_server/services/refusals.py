"""What becomes of a call that is turned away: a line of the audit log, and a figure that an alert can watch.

Invariant: a figure's labels are few words, never a user's, an address or what a caller sent; those are in the line.
"""

from __future__ import annotations

from collections.abc import Callable

from penstock_server.domain.caller import Call
from penstock_server.errors import ConcealedError, NoCredentialsError, PenstockError, UnauthenticatedError
from penstock_server.services.audit import AuditService
from penstock_server.telemetry import Denial, Port, Telemetry

Refused = Callable[[Call, PenstockError], None]
# The first that fits.
_REASONS: tuple[tuple[type[PenstockError], Denial], ...] = (
    (NoCredentialsError, Denial.NO_CREDENTIALS),
    (UnauthenticatedError, Denial.BAD_CREDENTIALS),
    (ConcealedError, Denial.CONCEALED),
    (PenstockError, Denial.NO_RIGHT),
)


def refusals(audit: AuditService, telemetry: Telemetry, port: Port) -> Refused:
    """To be told of every call that is turned away on the port; returns at once."""

    def refused(call: Call, error: PenstockError) -> None:
        telemetry.denied(port, next(reason for kind, reason in _REASONS if isinstance(error, kind)))
        audit.refused(call, error)

    return refused
