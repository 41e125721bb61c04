"""What an installation decides about its Pods. What a namespace decides is in `NamespacePolicy`.

Invariants: plain values, read once at the start of the program; no credential is among them, only names of Secrets.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from penstock_executor.backends.kubernetes.own_names import SESSION_SECRETS, OwnNames
from penstock_executor.backends.kubernetes.worker_policy import NO_WORKERS, WorkerPolicy

Security = Literal["restricted", "image-user"]


@dataclass(frozen=True, slots=True)
class ArtifactsClaim:
    """Where `file://` artifacts lie: the claim, mounted by the agent alone at the absolute path `root`."""

    name: str
    root: str


@dataclass(frozen=True, slots=True)
class CertificateBundle:
    """The authorities that tasks and agents trust, instead of those of their images: PEM, under `key`."""

    name: str
    kind: Literal["ConfigMap", "Secret"] = "ConfigMap"
    key: str = "ca.crt"


@dataclass(frozen=True, slots=True)
class PodSettings:
    """`architecture` is that of the nodes. `mixed`: that which a task's node selector or required affinity names;
    for a task that names none an init container chooses on the node, which costs a second.
    """

    agent_image: str
    instance: str
    wrapper_config_map: str
    """Name of the ConfigMap with the wrapper's binaries, which must be in every namespace that has tasks."""
    agent_image_pull_policy: str = "IfNotPresent"
    default_namespace: str = "default"
    run_as_user: int = 1000
    run_as_group: int = 0
    fs_group: int = 0
    architecture: Literal["amd64", "arm64", "mixed"] = "amd64"
    artifacts_claim: ArtifactsClaim | None = None
    agent_requests: Mapping[str, str] = field(default_factory=lambda: {"cpu": "20m", "memory": "64Mi"})
    agent_limits: Mapping[str, str] = field(default_factory=lambda: {"memory": "512Mi"})
    termination_grace_seconds: int = 30
    certificates: CertificateBundle | None = None
    proxy: tuple[tuple[str, str], ...] = ()
    """Variables such as `http_proxy`, for the task and the agent."""
    agent_env_from_secret: str = ""
    """A Secret of which every key becomes a variable of the agent."""
    transfer_timeout_seconds: float = 3600.0
    own: OwnNames = field(default_factory=OwnNames)
    """What no task may use; `own_names` has what these settings name besides."""

    @property
    def own_names(self) -> OwnNames:
        """The names of the installation, those in these settings included."""
        agents = (self.agent_env_from_secret,) if self.agent_env_from_secret else ()
        files = (self.artifacts_claim.name,) if self.artifacts_claim is not None else ()
        return replace(
            self.own,
            secrets=(*self.own.secrets, *agents, f"{SESSION_SECRETS}*"),
            claims=(*self.own.claims, *files),
            config_maps=(*self.own.config_maps, self.wrapper_config_map),
        )


@dataclass(frozen=True, slots=True)
class NamespacePolicy:
    """What the administrators of a namespace decide, in its ConfigMap `penstock`."""

    security: Security = "restricted"
    service_account: str = ""
    """For runs that name none."""
    image_pull_secrets: tuple[str, ...] = ()
    pod_template: Mapping[str, Any] = field(default_factory=dict)
    """`metadata` and `spec`, merged into every Pod (`merge`)."""
    allowed: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """The lists of what tasks may use, patterns by key (`allowed`). A key that is not there allows everything, but for
    what `allowed.UNLISTED` has of it."""
    default_root: str = ""
    """The pipeline root of runs that name none, which every run may have."""
    workers: WorkerPolicy = NO_WORKERS
