"""The object store as a task's Pod needs it: settings for its agent, and where the agent's credentials come from.

Invariant: an agent has the store's own credentials only for places whose settings name no role.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Any

from penstock_store.config import PROVIDERS, BucketSettings, StoreConfig
from penstock_store.session_policy import Rights, session_policies
from penstock_store.uris import scheme_of

from penstock_executor.agent.protocol import SESSIONS
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.own_names import SESSION_SECRETS
from penstock_executor.backends.kubernetes.transfers import has_agent
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.backends.transfers import transfers_of


@dataclass(frozen=True, slots=True)
class SessionRequest:
    """Temporary credentials that an attempt needs: with whose role, under which policy (`session_policies`), and the
    name of the file in which its agent looks for them."""

    settings: BucketSettings
    policies: tuple[str, ...]
    file: str


def session_secret(task: TaskLaunch) -> str:
    """The name of the Secret with the attempt's temporary credentials."""
    return f"{SESSION_SECRETS}{task.pod_name}"


@dataclass(frozen=True, slots=True)
class TaskStore:
    """What `pod_spec.make_pod` wants to know; `config` is that of the task's namespace."""

    config: StoreConfig
    task: TaskLaunch

    def to_json(self) -> Mapping[str, Any]:
        return _json(self._for_agent())

    def credentials_env(self) -> Sequence[Mapping[str, Any]]:
        """EnvVars with `secretKeyRef`, for what the task reads and writes. Raises ArtifactStoreError."""
        return [
            {
                "name": variable.name,
                "valueFrom": {"secretKeyRef": {"name": variable.secret, "key": variable.key}},
            }
            for variable in self._for_agent().credentials_env(self._uris())
        ]

    def session_secret(self) -> str:
        """The name of the Secret that the agent mounts, empty when it needs none. Raises ArtifactStoreError."""
        return session_secret(self.task) if self._used_with_role() else ""

    def only_sessions(self) -> bool:
        """Whether all that the task reads and writes in object stores is reached by temporary credentials. Raises
        ArtifactStoreError."""
        settings = [self._for_task().settings_for(uri) for uri in self._uris() if scheme_of(uri) in PROVIDERS]
        return bool(settings) and all(one.assume_role is not None for one in settings)

    def sessions(self) -> tuple[SessionRequest, ...]:
        """The temporary credentials that the attempt's agent needs. Raises ArtifactStoreError, TaskSpecError."""
        used = self._used_with_role()
        if not used or not has_agent(self.task, transfers_of(self.task, TaskPaths(self.task))):
            return ()
        # `task_root` is `<root>/<pipeline>/<run>/<task>/<uuid>`.
        root = self.task.task_root.rsplit("/", 4)[0]
        requests = []
        for settings, uris in used.items():
            assert settings.assume_role is not None
            writes = [uri for uri in (self.task.task_root, *settings.assume_role.output_roots) if uri in uris]
            reads = [uri for uri in uris if uri not in writes]
            policies = session_policies(Rights(tuple(reads), tuple(writes), root), settings.assume_role.role_arn)
            requests.append(SessionRequest(settings, tuple(policies), settings.variables))
        return tuple(requests)

    def _used_with_role(self) -> dict[BucketSettings, list[str]]:
        """What the task reads and writes, as far as it lies where the settings name a role, by these settings."""
        config = self._for_task()
        used: dict[BucketSettings, list[str]] = {}
        for uri in dict.fromkeys((*self._uris(), *_output_roots(config))):
            if scheme_of(uri) in PROVIDERS:
                settings = config.settings_for(uri)
                if settings.assume_role is not None:
                    used.setdefault(settings, []).append(uri)
        return used

    def _uris(self) -> tuple[str, ...]:
        given = (one.uri for many in self.task.input_artifacts.values() for one in many)
        return (self.task.task_root, *given)

    def _for_task(self) -> StoreConfig:
        return self.config.for_root(self.task.pipeline_root)

    def _for_agent(self) -> StoreConfig:
        return _as_agent_sees_all(self._for_task())


# The tasks of a namespace have the same settings, unless their root brings some.
@lru_cache(maxsize=64)
def _as_agent_sees_all(config: StoreConfig) -> StoreConfig:
    return replace(config, buckets=tuple(map(_as_agent_sees, config.buckets)))


@lru_cache(maxsize=64)
def _json(config: StoreConfig) -> Mapping[str, Any]:
    return config.to_json()


def _as_agent_sees(settings: BucketSettings) -> BucketSettings:
    if settings.assume_role is None:
        return settings
    return replace(settings, credentials=(), assume_role=None, session_file=f"{SESSIONS}/{settings.variables}")


def _output_roots(config: StoreConfig) -> Iterator[str]:
    for settings in config.buckets:
        if settings.assume_role is not None:
            yield from settings.assume_role.output_roots
