"""Whether the installation keeps namespaces apart, and what that makes of the namespace that a request names
(api.md §2.5).

Invariants: without multi-user mode nothing has a namespace, and lists show everything. With it an experiment has one,
and its runs, schedules, cached results and Pods have the experiment's; a pipeline has one or is shared by all; nothing
moves to another. A namespace is a Kubernetes name, so none can be mistaken for another by a database's collation or in
a path of the API server.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from penstock_server.errors import InvalidArgumentError

_NAMESPACE = re.compile(r"[a-z0-9](?:[-a-z0-9]{0,61}[a-z0-9])?")
SHARED = ""
"""The namespace of pipelines that everybody may run."""


@dataclass(frozen=True, slots=True)
class Tenancy:
    """`private_pipelines`: in multi-user mode there are no shared pipelines, each request for pipelines names one."""

    multi_user: bool = False
    private_pipelines: bool = False

    def namespace(self, requested: str, field: str) -> str:
        """The namespace in which an object is made or asked for; empty in single-user mode.

        Raises InvalidArgumentError when there has to be one and there is none.
        """
        if not self.multi_user:
            return ""
        if not requested:
            raise InvalidArgumentError("a namespace is required in multi-user mode", field)
        return checked_namespace(requested, field)

    def pipeline_namespace(self, requested: str, field: str) -> str:
        """The same for a pipeline, which is shared when no namespace is named.

        Raises InvalidArgumentError.
        """
        if not self.multi_user or (not requested and not self.private_pipelines):
            return SHARED
        return self.namespace(requested, field)

    def listed(self, namespace: str) -> str | None:
        """The namespace of a list's scope."""
        return namespace if self.multi_user else None


SINGLE_USER = Tenancy()


def checked_namespace(namespace: str, field: str) -> str:
    """Raises InvalidArgumentError for what is no name of a namespace in Kubernetes."""
    if not _NAMESPACE.fullmatch(namespace):
        raise InvalidArgumentError(
            f"{namespace[:80]!r} is no name of a namespace: at most 63 lower-case letters, digits and hyphens, "
            "neither first nor last a hyphen",
            field,
        )
    return namespace
