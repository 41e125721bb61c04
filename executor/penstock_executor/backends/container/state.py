"""The state of a container, read from `inspect`, whose output is alike for podman and docker.

Invariant: pure; a field that cannot be read counts as absent.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from datetime import datetime, timezone
from typing import Any

from penstock_executor.attempts import AttemptKey

LABEL_MANAGED = "app.kubernetes.io/managed-by"
LABEL_INSTANCE = "penstock.dev/instance"
LABEL_RUN = "pipeline/runid"
LABEL_PATH = "penstock.dev/path"
LABEL_ATTEMPT = "penstock.dev/attempt"
ENDED = ("exited", "stopped", "dead")
_NOT_BEGUN = ("created", "configured", "initialized")


@dataclass(frozen=True, slots=True)
class ContainerState:
    """Times in milliseconds since the epoch, 0 for none. `key` is None of a container that is not ours."""

    name: str
    uid: str
    key: AttemptKey | None
    status: str
    exit_code: int = 0
    out_of_memory: bool = False
    started_at: int = 0
    finished_at: int = 0

    @property
    def ended(self) -> bool:
        return self.status in ENDED

    @property
    def begun(self) -> bool:
        return self.status not in _NOT_BEGUN


def status_of(listed: str) -> str:
    """The status of a list's entry; older podmans go on with the exit code and the time."""
    return listed.lower().partition(" ")[0]


def states_of(text: str) -> list[ContainerState]:
    """Of the output of `inspect`."""
    return [_state(one) for one in json.loads(text or "[]")]


def _state(document: Any) -> ContainerState:
    state, labels = document["State"], (document.get("Config") or {}).get("Labels") or {}
    key = None
    if LABEL_RUN in labels and str(labels.get(LABEL_ATTEMPT)).isdecimal():
        key = AttemptKey(labels[LABEL_RUN], labels.get(LABEL_PATH, ""), int(labels[LABEL_ATTEMPT]))
    return ContainerState(
        name=str(document.get("Name", "")).lstrip("/"),
        uid=str(document.get("Id", "")),
        key=key,
        status=str(state.get("Status", "")).lower(),
        exit_code=int(state.get("ExitCode") or 0),
        out_of_memory=bool(state.get("OOMKilled")),
        started_at=_millis(state.get("StartedAt")),
        finished_at=_millis(state.get("FinishedAt")),
    )


def _millis(text: Any) -> int:
    """RFC 3339 with any number of decimals; 0 for the year 1, which means never."""
    if not isinstance(text, str) or text.startswith("0001"):
        return 0
    seconds, _, rest = text.partition(".")
    try:
        moment = datetime.fromisoformat(seconds.removesuffix("Z")[:19]).replace(tzinfo=timezone.utc)
        zone = text[len(text) - 6 :] if text[-6:-5] in ("+", "-") else "+00:00"
        offset = (int(zone[1:3]) * 60 + int(zone[4:6])) * (1 if zone[0] == "+" else -1)
    except ValueError:
        return 0
    digits = "".join(character for character in rest[:3] if character.isdecimal())
    return int(moment.timestamp() - offset * 60) * 1000 + int(digits.ljust(3, "0"))
