"""Who a Pod's containers run as (docs/pods.md, executor.md §3.1, §4).

Invariants: no container gets a capability, may gain privileges, or runs without the runtime's seccomp profile. Under
the policy `restricted` none runs as root; `image-user` leaves the user of the task's containers to their images, never
that of the agent. Where the containers see each other's processes, the agent has a group of its own that no other
container has: its credentials are in its environment, and Linux shows a process (`/proc/PID/environ`, `root`, `mem`,
ptrace) to those alone who have the same user and the same primary group, or a capability that no container has.

Why a group and not a user: agent, tasks and executor go on writing into each other's directories.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from penstock_ir.artifact import Artifact

from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings

Json = dict[str, Any]

AGENT_GROUP = 65531
"""Of the agent, where containers share a process namespace."""


def shares_processes(models: Sequence[Artifact], policy: NamespacePolicy) -> bool:
    """Whether the containers of a Pod see each other's processes: for its models, or by the namespace's template."""
    spec = policy.pod_template.get("spec") or {}
    return bool(models or spec.get("shareProcessNamespace") or spec.get("hostPID"))


def pod_security(settings: PodSettings, policy: NamespacePolicy, *, shared: bool) -> Json:
    """The Pod's `securityContext`; under the policy `restricted` it names the user for containers that name none.

    `shared`: `shares_processes`.
    """
    context: Json = {
        "fsGroup": settings.fs_group,
        # Changing the owner of every file of a large volume takes minutes.
        "fsGroupChangePolicy": "OnRootMismatch",
        "seccompProfile": {"type": "RuntimeDefault"},
    }
    if policy.security == "restricted":
        context.update(_user(settings))
    if shared:
        # What the agent's own group may not, the group of the tasks' files may.
        context["supplementalGroups"] = [settings.run_as_group]
    return context


def name_groups(containers: Iterable[Json], settings: PodSettings) -> None:
    """Leaves no container's group to its image, which might name the agent's; for a Pod that shares processes.

    Not in the Pod's own context: containerd makes no sandbox that has a group and no user.
    """
    for container in containers:
        container["securityContext"].setdefault("runAsGroup", settings.run_as_group)


def task_security(wanted: Mapping[str, Any], policy: NamespacePolicy) -> Json:
    """Of `main`; `wanted` is what the pipeline asks for. Raises PodSpecError."""
    context = {**hardened(), **{key: wanted[key] for key in ("runAsUser", "runAsGroup") if key in wanted}}
    if context.get("runAsGroup") == AGENT_GROUP:
        raise PodSpecError(f"kubernetes.securityContext: the group {AGENT_GROUP} is the agent's; name another group")
    non_root = policy.security == "restricted" or bool(wanted.get("runAsNonRoot"))
    if non_root and context.get("runAsUser") == 0:
        raise PodSpecError(
            "kubernetes.securityContext: the task asks for user 0, but has to run as another; name another user, or "
            "let the namespace's ConfigMap 'penstock' say security: image-user"
        )
    if non_root or "runAsNonRoot" in wanted:
        context["runAsNonRoot"] = non_root
    return context


def agent_security(settings: PodSettings, *, shared: bool) -> Json:
    """The `securityContext` of the agent's containers, which always run as the user of the settings."""
    return {**hardened(), **_user(settings), **({"runAsGroup": AGENT_GROUP} if shared else {})}


def hardened() -> Json:
    """What every container has in its `securityContext`, whatever the policy."""
    return {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}


def _user(settings: PodSettings) -> Json:
    return {"runAsNonRoot": True, "runAsUser": settings.run_as_user, "runAsGroup": settings.run_as_group}
