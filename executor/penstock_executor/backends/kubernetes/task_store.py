"""The object store as a task's Pod needs it: settings for its agent, names of Secrets for the agent's environment."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_store.config import StoreConfig

from penstock_executor.attempts import TaskLaunch


@dataclass(frozen=True, slots=True)
class TaskStore:
    """What `pod_spec.make_pod` wants to know; `config` is that of the task's namespace."""

    config: StoreConfig
    task: TaskLaunch

    def to_json(self) -> Mapping[str, Any]:
        return self._for_task().to_json()

    def credentials_env(self) -> Sequence[Mapping[str, Any]]:
        """EnvVars with `secretKeyRef`, for what the task reads and writes. Raises ArtifactStoreError."""
        given = (one.uri for many in self.task.input_artifacts.values() for one in many)
        return [
            {
                "name": variable.name,
                "valueFrom": {"secretKeyRef": {"name": variable.secret, "key": variable.key}},
            }
            for variable in self._for_task().credentials_env((self.task.task_root, *given))
        ]

    def _for_task(self) -> StoreConfig:
        return self.config.for_root(self.task.pipeline_root)
