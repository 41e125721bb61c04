"""Sessions of the web UI: who logged in, until when.

Invariant: the id of a session is known to the browser alone; what is kept is its SHA-256.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Session:
    """Times in milliseconds."""

    id_hash: str
    user: str
    groups: tuple[str, ...]
    created_at: int
    expires_at: int
