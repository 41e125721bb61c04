"""What can be wrong with a request, in the caller's words. Knows no transport.

Invariants: the message is meant for the caller and names the field or resource; causes are chained, never pasted in.
`rpc.status` alone turns these into statuses.
"""

from __future__ import annotations


class PenstockError(Exception):
    """Base of all errors a caller may see."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def for_operators(self) -> str:
        """With the words of what caused it: for the terminal of whoever runs the server, never for callers."""
        cause: BaseException = self
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = "; ".join(line.strip() for line in str(cause).splitlines() if line.strip())
        return self.message if cause is self or not reason else f"{self.message} ({reason[:1000]})"


class InvalidArgumentError(PenstockError):
    """The request cannot be right, whatever the state of the server. `field` is its wire name."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class NotFoundError(PenstockError):
    """There is no resource of this kind with this id or name."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"{kind} {identifier!r} not found")
        self.kind = kind
        self.identifier = identifier


class AlreadyExistsError(PenstockError):
    """A name that has to be unique is taken."""


class FailedPreconditionError(PenstockError):
    """Right request, wrong moment."""


class AbortedError(PenstockError):
    """What upstream calls a bad request: it is answered with a conflict."""


class UnavailableError(PenstockError):
    """Something this server needs is away; the same request may succeed later."""


class ResourceExhaustedError(PenstockError):
    """A limit of the server is reached; the same call may succeed later."""


class UnimplementedError(PenstockError):
    """The API has it, this server does not."""


class PermissionDeniedError(PenstockError):
    """What is asked for lies outside of what this server may show."""
