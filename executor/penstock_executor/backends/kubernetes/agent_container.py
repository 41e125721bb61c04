"""The container that brings and takes a task's files (docs/pods.md).

Invariants: credentials of the object store are in its environment, temporary ones in a mount of its own, and nowhere
else; its instructions are JSON in `PENSTOCK_TASK_<n>`, pieces below what one variable takes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Protocol

from penstock_executor.agent.protocol import SESSIONS, SHARE, AgentTask
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.environment import literal
from penstock_executor.backends.kubernetes.security import agent_security, shares_processes
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.volumes import (
    ARTIFACTS_VOLUME,
    certificates_env,
    certificates_mount,
    file_mounts,
)
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.backends.transfers import Transfers
from penstock_executor.pod_paths import WORKSPACE

Json = dict[str, Any]

NAME = "agent"
FETCH = "agent-fetch"
AGENT_CONTAINERS = (NAME, FETCH)
LOG = f"{SHARE}/log"
PIECE_BYTES = 96 * 1024
WORKSPACE_VOLUME = "penstock-workspace"
SESSIONS_VOLUME = "penstock-sessions"


class PodStore(Protocol):
    """Where artifacts lie, as a Pod is told of it."""

    def to_json(self) -> Mapping[str, Any]:
        """Without credentials."""
        ...

    def credentials_env(self) -> Sequence[Mapping[str, Any]]:
        """EnvVars with `secretKeyRef`."""
        ...

    def session_secret(self) -> str:
        """The Secret with the attempt's temporary credentials, empty for none."""
        ...

    def only_sessions(self) -> bool:
        """Whether the agent needs no credentials but those."""
        ...


def agent_beside_entrypoint(agent: Json, moved: Transfers) -> list[Json]:
    """The agent of a task without a wrapper, as init containers.

    It cannot hold the program back, nor see its end: it fetches before the program starts, and does the rest when
    Kubernetes ends it after the program.
    """
    command = agent["command"]
    fetch = {**agent, "name": FETCH, "command": [*command, "fetch"]}
    sidecar = {**agent, "command": [*command, "attend"], "restartPolicy": "Always"}
    return [fetch, sidecar] if moved.inputs else [sidecar]


def agent_container(
    task: TaskLaunch,
    paths: TaskPaths,
    moved: Transfers,
    settings: PodSettings,
    policy: NamespacePolicy,
    store: PodStore,
    *,
    instructed: bool = True,
) -> Json:
    """`instructed` is whether its variables hold its instructions. Raises PodSpecError."""
    container: Json = {
        "name": NAME,
        "image": settings.agent_image,
        "imagePullPolicy": settings.agent_image_pull_policy,
        "command": ["python", "-m", "penstock_executor.agent"],
        "env": literal(
            [
                *(_instructions(task, paths, moved, settings, policy, store) if instructed else ()),
                *certificates_env(settings),
                *({"name": name, "value": value} for name, value in settings.proxy),
                *(dict(entry) for entry in store.credentials_env()),
            ]
        ),
        "volumeMounts": [
            *file_mounts([paths.root, *moved.paths()], share=True),
            *_claims(moved, settings),
            *certificates_mount(settings),
            *_sessions_mount(store),
        ],
        "securityContext": agent_security(settings, shared=shares_processes(moved.models, policy)),
    }
    if settings.agent_env_from_secret and not store.only_sessions():
        container["envFrom"] = [{"secretRef": {"name": settings.agent_env_from_secret}}]
    resources = {
        key: dict(values)
        for key, values in (("requests", settings.agent_requests), ("limits", settings.agent_limits))
        if values
    }
    if resources:
        container["resources"] = resources
    return container


def _instructions(
    task: TaskLaunch,
    paths: TaskPaths,
    moved: Transfers,
    settings: PodSettings,
    policy: NamespacePolicy,
    store: PodStore,
) -> list[Json]:
    instructions = AgentTask(
        task_root=task.task_root,
        inputs=moved.inputs,
        outputs=moved.outputs,
        parameters={name: paths.parameter(name) for name in task.output_parameters},
        metadata=paths.metadata,
        log=LOG if task.command else "",
        store=store.to_json(),
        timeout=settings.transfer_timeout_seconds,
        places=policy.allowed.get("pipelineRoots"),
    )
    return [
        {"name": f"PENSTOCK_TASK_{index}", "value": piece} for index, piece in enumerate(pieces(instructions.to_json()))
    ]


def agent_volumes(task: TaskLaunch, moved: Transfers, settings: PodSettings) -> list[Json]:
    """Claims that the agent mounts."""
    volumes: list[Json] = []
    if moved.uses_files and settings.artifacts_claim:
        claim = {"claimName": settings.artifacts_claim.name}
        volumes.append({"name": ARTIFACTS_VOLUME, "persistentVolumeClaim": claim})
    if moved.fills_workspace:
        workspace: Any = task.kubernetes["workspace"]
        claim = {"claimName": workspace["claimName"]}
        volumes.append({"name": WORKSPACE_VOLUME, "persistentVolumeClaim": claim})
    return volumes


def session_volume(store: PodStore) -> list[Json]:
    """The Secret with the attempt's temporary credentials. No container begins before it is there."""
    name = store.session_secret()
    # Any user's to read: it is mounted in the agent alone, whose user a namespace's policy may choose.
    return [{"name": SESSIONS_VOLUME, "secret": {"secretName": name, "defaultMode": 0o444}}] if name else []


def _sessions_mount(store: PodStore) -> list[Json]:
    return [{"name": SESSIONS_VOLUME, "mountPath": SESSIONS, "readOnly": True}] if store.session_secret() else []


def pieces(text: str) -> list[str]:
    """`text` in order, each piece at most PIECE_BYTES of UTF-8."""
    data = text.encode()
    result: list[str] = []
    start = 0
    while start < len(data):
        end = min(start + PIECE_BYTES, len(data))
        while end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        result.append(data[start:end].decode())
        start = end
    return result


def _claims(moved: Transfers, settings: PodSettings) -> list[Json]:
    mounts: list[Json] = []
    if moved.uses_files and settings.artifacts_claim:
        mounts.append({"name": ARTIFACTS_VOLUME, "mountPath": settings.artifacts_claim.root})
    if moved.fills_workspace:
        mounts.append({"name": WORKSPACE_VOLUME, "mountPath": WORKSPACE})
    return mounts
