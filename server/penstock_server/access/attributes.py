"""What authorization is asked: a right, as a SubjectAccessReview has it, and the answer."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, Protocol

from penstock_server.access.rules import PIPELINES_GROUP
from penstock_server.domain.caller import Caller


class Attributes(NamedTuple):
    """What is asked for, in the terms of a SubjectAccessReview. An empty `namespace` means all of them.

    A tuple, which is made in a third of the time: a call may need several.
    """

    resource: str
    verb: str
    namespace: str
    group: str = PIPELINES_GROUP
    name: str = ""


@dataclass(frozen=True, slots=True)
class Decision:
    allowed: bool
    reason: str = ""


class Authorizer(Protocol):
    """Knows the rights of callers. It may block for seconds, and is called from many threads."""

    def decide(self, caller: Caller, wanted: Attributes) -> Decision:
        """Raises UnavailableError when whoever knows does not answer."""
        ...
