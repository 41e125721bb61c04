"""What a worker is told of one attempt (docs/workers.md).

Invariants: pure; the program gets the same arguments and variables as in a Pod of its own, byte for byte.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from penstock_executor.agent.protocol import SHARE, AgentTask
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.argument_limits import checked_arguments
from penstock_executor.backends.kubernetes.agent_container import LOG, PodStore
from penstock_executor.backends.kubernetes.environment import attempt_variables, last_of_each
from penstock_executor.backends.kubernetes.lightweight import Lightweight
from penstock_executor.backends.kubernetes.main_container import mounts_of_template, wrapper_command
from penstock_executor.backends.kubernetes.settings import NamespacePolicy, PodSettings
from penstock_executor.backends.kubernetes.transfers import agent_transfers
from penstock_executor.backends.kubernetes.variable_expansion import TooLongError
from penstock_executor.backends.kubernetes.view import PodView
from penstock_executor.backends.kubernetes.volumes import lies_at_home
from penstock_executor.backends.kubernetes.workers.references import in_pod, of_template, refer, with_values
from penstock_executor.backends.kubernetes.workers.worker_pod import lightweight_in_worker
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.engine.names import attempt_id
from penstock_executor.pod_paths import HOME

Json = dict[str, Any]

_LONGEST_BYTES = 8 * 1024 * 1024 - 4096
"""Less than a worker reads of arguments and variables together."""
_LONGEST_NAME = "x" * 253
"""As long as the name or the uid of a Pod may be."""


@dataclass(frozen=True, slots=True)
class Instructions:
    """All but what belongs to the worker's Pod. `request` becomes the message `run`; its arguments and `entries`, the
    attempt's variables, are as they were given, and `refers` says whether one of them refers to a variable. Of the
    variables `omitted` the Pod has values of its own. `light` is the component that the worker's Python carries out,
    None for a command that runs as it is."""

    request: Mapping[str, Any]
    entries: Sequence[Json]
    omitted: frozenset[str]
    refers: bool
    light: Lightweight | None

    def message(self, worker: PodView, fence: int, log_mark: str) -> dict[str, Any]:
        arguments, variables = self.told(worker.name, worker.uid, None)
        told = {"arguments": arguments, "variables": variables, "fence": fence, "log_token": log_mark}
        return {**self.request, **told}

    def told(self, pod_name: str, pod_uid: str, most: int | None) -> tuple[Sequence[str], dict[str, str]]:
        """Arguments and variables in that Pod. Raises TooLongError when references make more than `most` bytes."""
        arguments, variables = self.request["arguments"], in_pod(pod_name, pod_uid, self.entries)
        if self.refers:
            arguments, values = with_values(arguments, variables, most)
        else:
            values = {one["name"]: one["value"] for one in variables if "value" in one}
        return arguments, {name: value for name, value in values.items() if name not in self.omitted}


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
    variables = attempt_variables(task, settings)
    command = paths.command()
    light = lightweight_in_worker(command, variables)
    argv = checked_arguments(light.program() if light is not None else command, "argument")
    wrapper = wrapper_command(task, paths, moved, agent=True, home="" if at_home else HOME, has_root=True)
    arguments = [*wrapper[1:], "--message", f"{SHARE}/message", "--", *argv]
    omitted = frozenset(str(one.get("name")) for one in of_template(policy))
    values = [one for one in last_of_each(variables) if "value" in one and one["name"] not in omitted]
    checked_arguments([f"{one['name']}={one['value']}" for one in values], "environment variable")
    refers = refer([*arguments, *(one["value"] for one in values)], in_pod("", "", variables))
    key = task.key
    request = {
        "op": "run",
        "id": attempt_id(key.run_id, key.path, key.attempt),
        "run_id": key.run_id,
        "task": agent.to_document(),
        "arguments": arguments,
    }
    return Instructions(request, variables, omitted, refers, light)


def is_too_long(told: Instructions) -> bool:
    """Whether a worker would not take so many arguments and variables."""
    try:
        arguments, variables = told.told(_LONGEST_NAME, _LONGEST_NAME, _LONGEST_BYTES)
    except TooLongError:
        return True
    words = [*arguments, *variables, *variables.values()]
    return sum(len(word.encode("utf-8", "surrogatepass")) + 2 for word in words) > _LONGEST_BYTES
