"""Tasks that make or delete a volume claim, whose claims are volumes of the runtime here.

Invariants: the name is that of the claim on Kubernetes, a function of the attempt, so making it again finds it; one of
that name which somebody else made is an error, never used as if it were the task's own.
"""

from __future__ import annotations

import time
from dataclasses import replace

from penstock_ir.event_log import FailureKind

from penstock_executor.attempts import AttemptTimes, TaskLaunch, TaskOutcome
from penstock_executor.backends.container.runtime import ContainerRuntime, RuntimeFailedError
from penstock_executor.backends.errors import TaskSpecError
from penstock_executor.backends.kubernetes.claims import claim_to_create, claim_to_delete
from penstock_executor.engine.names import attempt_id

_LABEL = "penstock.dev/made-by"


class ClaimVolumes:
    def __init__(self, runtime: ContainerRuntime, instance: str) -> None:
        self._runtime = runtime
        self._instance = instance

    async def outcome(self, task: TaskLaunch) -> TaskOutcome:
        """Of a task that makes or deletes one. Never raises for what the runtime answers."""
        started = _now()
        failure: TaskSpecError | RuntimeFailedError | None = None
        try:
            name = claim_to_delete(task)
            name = await self._create(task) if name is None else await self._delete(name)
        except (TaskSpecError, RuntimeFailedError) as error:
            failure = error
        finished = _now()
        outcome = TaskOutcome(task.key, started, finished, times=AttemptTimes(started=started, finished=finished))
        if failure is not None:
            kind = FailureKind.CONFIGURATION if isinstance(failure, TaskSpecError) else FailureKind.INFRASTRUCTURE
            return replace(outcome, failure=kind, error=str(failure)[:4096])
        return replace(outcome, exit_code=0, parameters={"name": name} if "name" in task.output_parameters else {})

    async def mountpoint(self, name: str) -> str:
        """The directory of a volume, which is made when it is not there. Raises RuntimeFailedError."""
        if not await self._is_there(name):
            await self._runtime.call("volume", "create", name)
        return await self._runtime.call("volume", "inspect", "--format", "{{.Mountpoint}}", name)

    async def _create(self, task: TaskLaunch) -> str:
        name = str(claim_to_create(task, self._instance)["metadata"]["name"])
        maker = attempt_id(task.key.run_id, task.key.path, task.key.attempt)
        if not await self._is_there(name):
            await self._runtime.call("volume", "create", "--label", f"{_LABEL}={maker}", name)
            return name
        labels = await self._runtime.call("volume", "inspect", "--format", f'{{{{index .Labels "{_LABEL}"}}}}', name)
        if labels != maker:
            raise TaskSpecError(f"the volume {name!r} exists on this machine and was not made by this task")
        return name

    async def _delete(self, name: str) -> str:
        if not await self._is_there(name):
            raise TaskSpecError(f"there is no volume {name!r} on this machine to be deleted")
        await self._runtime.call("volume", "rm", name)
        return name

    async def _is_there(self, name: str) -> bool:
        listed = await self._runtime.call("volume", "ls", "--format", "{{.Name}}")
        return name in listed.splitlines()


def _now() -> int:
    return time.time_ns() // 1_000_000
