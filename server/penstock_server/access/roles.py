"""Roles: what a viewer, an editor and an administrator may, and who has which role where.

The rights of viewer and editor are those of upstream's roles kubeflow-pipelines-view and -edit (api.md §6.1, where edit
includes view), so that a team that moves from one way to decide to the other may do the same.

Invariant: a right that no role lists is an administrator's alone.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import lru_cache

from penstock_server.access.attributes import Attributes, Decision
from penstock_server.domain.caller import Caller, Role
from penstock_server.domain.role_binding import ALL_NAMESPACES

_VIEWER: Mapping[str, tuple[str, ...]] = {
    "pipelines": ("get", "list"),
    "experiments": ("get", "list"),
    "runs": ("get", "list", "readArtifact"),
    "jobs": ("get", "list"),
    "artifacts": ("get", "list"),
    "pools": ("get", "list"),
    "metadata": ("get",),
    "viewers": ("create", "get", "delete"),
    "visualizations": ("create",),
}
_EDITOR: Mapping[str, tuple[str, ...]] = {
    "pipelines": ("create", "update", "delete"),
    "experiments": ("create", "archive", "unarchive", "delete"),
    "runs": ("create", "update", "archive", "unarchive", "delete", "terminate", "retry", "reportMetrics"),
    "jobs": ("create", "enable", "disable", "delete"),
    "artifacts": ("create",),
    "metadata": ("update",),
}


@lru_cache(1_000)
def least_role(resource: str, verb: str) -> Role:
    """The least role that has the right."""
    if verb in _VIEWER.get(resource, ()):
        return Role.VIEWER
    if verb in _EDITOR.get(resource, ()):
        return Role.EDITOR
    return Role.ADMIN


@dataclass(frozen=True, slots=True)
class Binding:
    """Gives `role` in `namespace` (`*`: in all) to `user` or to everybody in `group`; exactly one of them is set."""

    role: Role
    namespace: str
    user: str = ""
    group: str = ""

    def is_of(self, caller: Caller) -> bool:
        if self.user:
            return self.user == caller.user
        return bool(self.group) and self.group in caller.groups

    def covers(self, namespace: str) -> bool:
        """Whether it holds in `namespace`; empty asks for all namespaces."""
        return self.namespace == ALL_NAMESPACES or (bool(namespace) and self.namespace == namespace)


def decide(bindings: Iterable[Binding], caller: Caller, wanted: Attributes) -> Decision:
    """Whether one of the bindings gives the caller the right."""
    needed = least_role(wanted.resource, wanted.verb)
    for binding in bindings:
        if binding.is_of(caller) and binding.covers(wanted.namespace) and binding.role.includes(needed):
            return Decision(allowed=True, reason=f"role {binding.role.value}")
    where = f"in namespace {wanted.namespace!r}" if wanted.namespace else "in all namespaces"
    return Decision(allowed=False, reason=f"it needs the role {needed.value} {where}")
