"""Failures of the agent, with the kinds that an AttemptResult has (docs/pods.md)."""

from __future__ import annotations

INFRASTRUCTURE = "infrastructure"
CONFIGURATION = "configuration"
USER = "user"
"""Values of `FailureKind`. The agent does not import its module, to start fast."""


class AgentError(Exception):
    """`kind` says who caused the failure, and so whether a retry may help."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
