"""Temporary credentials of one attempt, as they lie in a file that is renewed while they are used.

Why a file and not the environment: what an environment holds ends with the session, a mounted file is replaced.
Invariants: the file is JSON and appears whole; it is read again whenever the client asks, so that renewed keys are used
without a restart. The agent imports this, so nothing heavy is imported.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from obstore.store import S3Credential

_POLL_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class SessionKeys:
    """`expires_at` in seconds since the epoch."""

    access_key: str
    secret_key: str = field(repr=False)
    token: str = field(repr=False)
    expires_at: float

    def to_json(self) -> str:
        return json.dumps(asdict(self))

    @staticmethod
    def from_json(text: str) -> SessionKeys:
        """Raises ValueError, KeyError or TypeError when `text` has no keys of a session."""
        document = json.loads(text)
        names = ("access_key", "secret_key", "token")
        access, secret, token = (str(document[name]) for name in names)
        return SessionKeys(access, secret, token, float(document["expires_at"]))


class SessionFile:
    """A credential provider of the client library. When the keys have expired it waits for new ones, for `patience`
    seconds: whoever renews them may be away for a while, and a mounted file follows a minute later.
    """

    def __init__(
        self,
        path: Path,
        patience: float = 180.0,
        now: Callable[[], float] = time.time,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._path = path
        self._patience = patience
        self._now = now
        self._sleep = sleep

    def __call__(self) -> S3Credential:
        """Raises OSError without a file, ValueError, KeyError or TypeError for one that holds no keys."""
        until = self._now() + self._patience
        keys = SessionKeys.from_json(self._path.read_text("utf-8"))
        while keys.expires_at <= self._now() < until:
            self._sleep(_POLL_SECONDS)
            keys = SessionKeys.from_json(self._path.read_text("utf-8"))
        # Of keys that have expired the store itself says so.
        return {
            "access_key_id": keys.access_key,
            "secret_access_key": keys.secret_key,
            "token": keys.token,
            "expires_at": datetime.fromtimestamp(keys.expires_at, timezone.utc),
        }
