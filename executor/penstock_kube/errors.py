"""Errors of a Kubernetes API server, one class for each way in which a caller reacts.

Invariants: every failure of a call is a KubeError; its message is the server's, cut to what fits into a task's error.
`from_status` is the only function that turns a status into an exception: it reads the Status object, which the server
sends as a response and as the ERROR event of a watch.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

MAX_MESSAGE = 2048


class KubeConfigError(Exception):
    """The configuration of a cluster cannot be read; the text names the file, context or plugin and what is wrong."""


class KubeError(Exception):
    """A call failed. `status` is HTTP's, 0 without a response; `reason` is that of the Status object, may be empty.
    `transient`: the same call may succeed later although nothing about it changed."""

    transient = False

    def __init__(self, status: int, reason: str, message: str) -> None:
        shown = message if len(message) <= MAX_MESSAGE else message[:MAX_MESSAGE] + "…"
        super().__init__(shown)
        self.status = status
        self.reason = reason
        self.message = shown


class NotFoundError(KubeError):
    """404: the object, its namespace or its kind is not there."""


class AlreadyExistsError(KubeError):
    """409 of a create: an object of that name exists, perhaps from an earlier try of this client."""


class ConflictError(KubeError):
    """409 otherwise: a precondition (uid, version) does not hold, or a quota is being recounted. Nothing changed."""


class GoneError(KubeError):
    """410, as a response or a watch's ERROR event: the server no longer has that resource version. List again."""


class InvalidError(KubeError):
    """400, 413, 415 or 422: the server will never take this request."""


class ForbiddenError(KubeError):
    """403: RBAC denies it, or admission (Pod Security, a terminating namespace) refuses the object."""


class QuotaExceededError(KubeError):
    """403 with "exceeded quota": the namespace is full for now."""

    transient = True


class UnauthorizedError(KubeError):
    """401, although the credentials were read anew."""

    transient = True


class ThrottledError(KubeError):
    """429: nothing was done. `retry_after` in seconds, at least 1."""

    transient = True

    def __init__(self, status: int, reason: str, message: str, *, retry_after: float = 1.0) -> None:
        super().__init__(status, reason, message)
        self.retry_after = max(1.0, retry_after)


class UnavailableError(KubeError):
    """5xx, no connection, or a timeout. `ambiguous`: the request may have been carried out nevertheless."""

    transient = True

    def __init__(self, status: int, reason: str, message: str, *, ambiguous: bool = True) -> None:
        super().__init__(status, reason, message)
        self.ambiguous = ambiguous


class ProgramFailedError(KubeError):
    """A program that was run in a container ended with `exit_code`, which is not 0. `transient`, since what a program
    finds in its container changes."""

    transient = True

    def __init__(self, status: int, reason: str, message: str, *, exit_code: int) -> None:
        super().__init__(status, reason, message)
        self.exit_code = exit_code


_CLASSES: dict[int, type[KubeError]] = {
    400: InvalidError,
    401: UnauthorizedError,
    404: NotFoundError,
    409: ConflictError,
    410: GoneError,
    413: InvalidError,
    415: InvalidError,
    422: InvalidError,
}


def from_response(status: int, body: bytes, headers: Mapping[str, str]) -> KubeError:
    """The error of an HTTP response. The body is a Status object, or any text when a proxy sent it."""
    try:
        document = json.loads(body)
    except ValueError:
        document = None
    if not isinstance(document, dict):
        document = {"message": body.decode("utf-8", "replace").strip()}
    return from_status(document, status=status, retry_after=headers.get("Retry-After", ""))


def from_status(document: Mapping[str, Any], *, status: int = 0, retry_after: str = "") -> KubeError:
    """The error that a `kind: Status` document describes. `status` comes before the code in the document."""
    code = status or _integer(document.get("code")) or 500
    reason = str(document.get("reason") or "")
    message = str(document.get("message") or "") or reason or f"HTTP status {code}"
    if code == 429:
        details = document.get("details")
        seconds = _integer(retry_after) or _integer(
            details.get("retryAfterSeconds") if isinstance(details, dict) else 0
        )
        return ThrottledError(code, reason, message, retry_after=seconds)
    if code == 409 and reason == "AlreadyExists":
        return AlreadyExistsError(code, reason, message)
    if code == 403:
        return (QuotaExceededError if "exceeded quota" in message else ForbiddenError)(code, reason, message)
    if code >= 500:
        return UnavailableError(code, reason, message)
    return _CLASSES.get(code, KubeError)(code, reason, message)


def _integer(value: object) -> int:
    try:
        return int(str(value))
    except ValueError:
        return 0
