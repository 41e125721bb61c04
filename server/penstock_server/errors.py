"""Errors that callers may see, independent of the transport.

Invariants: the message is for the caller and names the field or resource; causes are chained, not part of the message.
Only `rpc.status` maps them to statuses.
"""

from __future__ import annotations


class PenstockError(Exception):
    """Base of the errors that callers may see."""

    def __init__(self, message: str) -> None:
        super().__init__(message)
        self.message = message

    def for_operators(self) -> str:
        """The message with its root cause, for the operator's terminal, never for callers."""
        cause: BaseException = self
        while cause.__cause__ is not None:
            cause = cause.__cause__
        reason = "; ".join(line.strip() for line in str(cause).splitlines() if line.strip())
        return self.message if cause is self or not reason else f"{self.message} ({reason[:1000]})"


class InvalidArgumentError(PenstockError):
    """The request is wrong in any state of the server. `field` is the field's name in the message."""

    def __init__(self, message: str, field: str = "") -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field


class NotFoundError(PenstockError):
    """There is no resource of this kind with this id or name."""

    def __init__(self, kind: str, identifier: str) -> None:
        super().__init__(f"{kind} {identifier!r} not found")
        self.kind = kind
        self.identifier = identifier


class ConcealedError(NotFoundError):
    """There is one, but the caller may not even know so. To the caller it is NotFoundError, to the audit log a refusal.

    `resource` and `verb` are the right that is missing.
    """

    def __init__(self, kind: str, identifier: str, *, resource: str, verb: str) -> None:
        super().__init__(kind, identifier)
        self.resource, self.verb = resource, verb


class AlreadyExistsError(PenstockError):
    """A unique name is in use already."""


class FailedPreconditionError(PenstockError):
    """The request is valid, but not in the current state of the resource."""


class AbortedError(PenstockError):
    """The request is refused with ABORTED (HTTP 409), as upstream does for what it calls a bad request."""


class UnavailableError(PenstockError):
    """The server cannot reach something that it needs; the same request may succeed later."""


class ResourceExhaustedError(PenstockError):
    """A limit of the server is reached; the same call may succeed later.

    `retry_seconds`: when to try again, for calls that were refused before anything was done; 0 where nobody knows.
    """

    def __init__(self, message: str, *, retry_seconds: float = 0.0) -> None:
        super().__init__(message)
        self.retry_seconds = retry_seconds


class UnimplementedError(PenstockError):
    """The API has this feature, this server does not."""


class PermissionDeniedError(PenstockError):
    """The caller may not do this, or the server may not return what was requested.

    `resource`, `verb` and `namespace` are the right that is missing; empty where it is none of a role's.
    """

    def __init__(self, message: str, *, resource: str = "", verb: str = "", namespace: str = "") -> None:
        super().__init__(message)
        self.resource, self.verb, self.namespace = resource, verb, namespace


class UnauthenticatedError(PenstockError):
    """The caller did not say who they are, or could not prove it."""


class NoCredentialsError(UnauthenticatedError):
    """The caller shows nothing by which they could be known."""
