"""Why a task cannot be launched where it is to run."""

from __future__ import annotations

from penstock_ir.event_log import FailureKind


class TaskSpecError(ValueError):
    """What the task asks for cannot be had; a retry will not help. The text says what to change."""


class LaunchFailedError(Exception):
    """Nothing of the attempt was created, and the same launch would not create it: `kind` and `text` become its
    outcome."""

    def __init__(self, kind: FailureKind, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
