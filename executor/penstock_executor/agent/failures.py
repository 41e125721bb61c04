"""What the agent could not do, in the words and kinds of an AttemptResult (docs/pods.md)."""

from __future__ import annotations

INFRASTRUCTURE = "infrastructure"
CONFIGURATION = "configuration"
USER = "user"
"""Values of `FailureKind`, whose module the agent does not import: it starts light."""


class AgentError(Exception):
    """`kind` says whose fault it is, hence whether a retry may help."""

    def __init__(self, kind: str, text: str) -> None:
        super().__init__(text)
        self.kind = kind
        self.text = text
