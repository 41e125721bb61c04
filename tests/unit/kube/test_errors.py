"""Errors from the responses and Status objects of an API server."""

from __future__ import annotations

import json
from typing import Any

import pytest
from penstock_kube.errors import (
    MAX_MESSAGE,
    AlreadyExistsError,
    ConflictError,
    ForbiddenError,
    GoneError,
    InvalidError,
    KubeError,
    NotFoundError,
    QuotaExceededError,
    ThrottledError,
    UnauthorizedError,
    UnavailableError,
    from_response,
    from_status,
)


def body(**document: Any) -> bytes:
    return json.dumps({"kind": "Status", **document}).encode()


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (400, {"reason": "BadRequest"}, InvalidError),
        (401, {"reason": "Unauthorized"}, UnauthorizedError),
        (403, {"reason": "Forbidden", "message": 'pods "a" is forbidden: User "b" cannot create'}, ForbiddenError),
        (403, {"reason": "Forbidden", "message": 'pods "a" is forbidden: exceeded quota: q'}, QuotaExceededError),
        (403, {"reason": "Forbidden", "message": 'pods "a" is forbidden: violates PodSecurity'}, ForbiddenError),
        (404, {"reason": "NotFound"}, NotFoundError),
        (409, {"reason": "AlreadyExists"}, AlreadyExistsError),
        (409, {"reason": "Conflict"}, ConflictError),
        (409, {}, ConflictError),
        (410, {"reason": "Expired"}, GoneError),
        (413, {"reason": "RequestEntityTooLarge"}, InvalidError),
        (418, {}, KubeError),
        (422, {"reason": "Invalid"}, InvalidError),
        (429, {"reason": "TooManyRequests"}, ThrottledError),
        (500, {"reason": "InternalError"}, UnavailableError),
        (503, {"reason": "ServiceUnavailable"}, UnavailableError),
        (504, {"reason": "Timeout"}, UnavailableError),
    ],
)
def test_every_status_has_its_error(status: int, document: dict[str, Any], kind: type[KubeError]) -> None:
    error = from_response(status, body(**document), {})
    assert type(error) is kind
    assert error.status == status
    assert error.reason == document.get("reason", "")
    assert error.message


def test_a_quota_is_no_missing_right() -> None:
    assert not issubclass(QuotaExceededError, ForbiddenError)


@pytest.mark.parametrize(
    ("headers", "details", "seconds"),
    [
        ({"Retry-After": "7"}, None, 7),
        ({}, {"retryAfterSeconds": 3}, 3),
        ({}, None, 1),
        ({"Retry-After": "soon"}, {}, 1),
    ],
)
def test_when_to_come_back(headers: dict[str, str], details: dict[str, int] | None, seconds: int) -> None:
    error = from_response(429, body(details=details), headers)
    assert isinstance(error, ThrottledError)
    assert error.retry_after == seconds


@pytest.mark.parametrize("answer", [b"<html>502 Bad Gateway</html>", b"", b"\xff\xfe", b"[]", b'"text"', b"null"])
def test_what_stands_in_between_may_answer_anything(answer: bytes) -> None:
    error = from_response(502, answer, {})
    assert isinstance(error, UnavailableError)
    assert error.ambiguous
    assert error.message


def test_a_message_is_cut() -> None:
    error = from_response(422, body(message="x" * 100_000), {})
    assert len(error.message) == MAX_MESSAGE + 1


def test_the_error_event_of_a_watch() -> None:
    event = {"kind": "Status", "code": 410, "reason": "Expired", "message": "too old resource version: 1 (2)"}
    error = from_status(event)
    assert type(error) is GoneError
    assert str(error) == "too old resource version: 1 (2)"


def test_an_error_event_without_a_code_is_a_failing_server() -> None:
    assert isinstance(from_status({}), UnavailableError)
