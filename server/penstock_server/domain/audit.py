"""Who did, or was refused, what to which object: a line of the audit log."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class AuditEvent:
    """`at` in milliseconds (UTC). `result` is the name of a gRPC code, UNKNOWN in a line that is older than its deed.
    `object_id` is empty for what was refused before there was an object. `event_id` grows from event to event; 0 for
    one that is not stored yet.
    """

    at: int
    user: str
    groups: tuple[str, ...]
    source: str
    address: str
    method: str
    request_id: str
    resource: str
    verb: str
    namespace: str = ""
    object_id: str = ""
    object_name: str = ""
    result: str = "OK"
    reason: str = ""
    event_id: int = 0


@dataclass(frozen=True, slots=True)
class AuditQuery:
    """Empty texts and zeros match everything; `until` is exclusive. `before` is the id behind the last one seen."""

    namespace: str = ""
    user: str = ""
    resource: str = ""
    verb: str = ""
    object_id: str = ""
    result: str = ""
    since: int = 0
    until: int = 0
    before: int = 0
