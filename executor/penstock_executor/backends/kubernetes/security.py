"""Who a Pod's containers run as (docs/pods.md, executor.md §3.1, §4).

Invariants: no container gets a capability, may gain privileges, or runs without the runtime's seccomp profile. Under
the policy `restricted` none runs as root; `image-user` leaves the user of the task's containers to their images, never
that of the agent.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings

Json = dict[str, Any]


def pod_security(settings: PodSettings, policy: NamespacePolicy) -> Json:
    """The Pod's `securityContext`; under the policy `restricted` it names the user for containers that name none."""
    context: Json = {
        "fsGroup": settings.fs_group,
        # Changing the owner of every file of a large volume takes minutes.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if policy.security == "restricted":
        context.update(_user(settings))
    return context


def task_security(wanted: Mapping[str, Any], policy: NamespacePolicy) -> Json:
    """Of `main`; `wanted` is what the pipeline asks for. Raises PodSpecError."""
    context = {**hardened(), **{key: wanted[key] for key in ("runAsUser", "runAsGroup") if key in wanted}}
    non_root = policy.security == "restricted" or bool(wanted.get("runAsNonRoot"))
    if non_root and context.get("runAsUser") == 0:
        raise PodSpecError(
            "kubernetes.securityContext: the task asks for user 0, but has to run as another; name another user, or "
            "let the namespace's ConfigMap 'penstock' say security: image-user"
        )
    if non_root or "runAsNonRoot" in wanted:
        context["runAsNonRoot"] = non_root
    return context


def agent_security(settings: PodSettings) -> Json:
    """The `securityContext` of the agent's containers, which always run as the user of the settings."""
    return {**hardened(), **_user(settings)}


def hardened() -> Json:
    """What every container has in its `securityContext`, whatever the policy."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _user(settings: PodSettings) -> Json:
    return {"runAsNonRoot": True, "runAsUser": settings.run_as_user, "runAsGroup": settings.run_as_group}
