"""What a worker is told of one attempt (docs/workers.md).

Invariants: pure; the program gets the same arguments and variables as in a Pod of its own, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock_executor.agent.protocol import SHARE, AgentTask
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.argument_limits import checked_arguments
from penstock_executor.backends.kubernetes.agent_container import LOG, PodStore
from penstock_executor.backends.kubernetes.environment import last_of_each, task_variables
from penstock_executor.backends.kubernetes.lightweight import lightweight_of
from penstock_executor.backends.kubernetes.main_container import mounts_of_template, wrapper_command
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.transfers import agent_transfers
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backends.kubernetes.volumes import lies_at_home
from penstock_executor.backends.kubernetes.workers.worker_pod import names_set_by_template
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.engine.names import attempt_id
from penstock_executor.pod_paths import HOME

_LONGEST_BYTES = 8 * 1024 * 1024 - 4096
"""Less than a worker reads of arguments and variables together."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """All but what belongs to the worker's Pod. `request` becomes the message `run`."""

    request: Mapping[str, Any]
    variables: Mapping[str, str]

    def message(self, worker: PodView, fence: int, log_mark: str) -> dict[str, Any]:
        of_pod = {"KFP_POD_NAME": worker.name, "KFP_POD_UID": worker.uid}
        variables = {**self.variables, **{name: of_pod[name] for name in of_pod if name not in self.variables}}
        return {**self.request, "fence": fence, "log_token": log_mark, "variables": variables}


def instructions(task: TaskLaunch, settings: PodSettings, policy: NamespacePolicy, store: PodStore) -> Instructions:
    """Raises PodSpecError, TaskSpecError."""
    paths = TaskPaths(task)
    moved = agent_transfers(task, paths, settings)
    platform: Any = task.kubernetes
    users = [*(platform.get("volumeMounts") or ()), *(platform.get("ownVolumeMounts") or ())]
    at_home = lies_at_home([*users, *mounts_of_template(policy)])
    agent = AgentTask(
        task_root=task.task_root,
        inputs=moved.inputs,
        outputs=moved.outputs,
        parameters={name: paths.parameter(name) for name in task.output_parameters},
        metadata=paths.metadata,
        log=LOG,
        store=store.to_json(),
        timeout=settings.transfer_timeout_seconds,
        places=policy.allowed.get("pipelineRoots"),
        tail=True,
    )
    light = lightweight_of(paths.command())
    argv = checked_arguments(light.program() if light is not None else paths.command(), "argument")
    wrapper = wrapper_command(task, paths, moved, agent=True, home="" if at_home else HOME, has_root=True)
    template = names_set_by_template(policy)
    variables = {
        one["name"]: one["value"]
        # The first one is the name of the task's own Pod.
        for one in last_of_each(task_variables(task, settings)[1:])
        if "value" in one and one["name"] not in template
    }
    checked_arguments([f"{name}={value}" for name, value in variables.items()], "environment variable")
    key = task.key
    request = {
        "op": "run",
        "id": attempt_id(key.run_id, key.path, key.attempt),
        "run_id": key.run_id,
        "task": agent.to_document(),
        "arguments": [*wrapper[1:], "--message", f"{SHARE}/message", "--", *argv],
    }
    return Instructions(request, variables)


def is_too_long(told: Instructions) -> bool:
    """Whether a worker would not read so many arguments and variables."""
    words = [*told.request["arguments"], *told.variables, *told.variables.values()]
    return sum(len(word.encode("utf-8", "surrogatepass")) + 2 for word in words) > _LONGEST_BYTES
