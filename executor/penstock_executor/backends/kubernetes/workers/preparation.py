"""What has to be known of an attempt before a worker can take it: that it may, of which shape its worker is, and what
that is told.

Invariant: nothing of it is seen in the cluster, but a claim that any Pod of the run would have had made.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.backend_settings import BackendSettings
from penstock_executor.backends.kubernetes.claim_tasks import ClaimTasks
from penstock_executor.backends.kubernetes.namespaces import NamespaceConfig
from penstock_executor.backends.kubernetes.task_store import TaskStore
from penstock_executor.backends.kubernetes.workers.choice import why_not
from penstock_executor.backends.kubernetes.workers.fleet import Fleet
from penstock_executor.backends.kubernetes.workers.instructions import Instructions, instructions, is_too_long
from penstock_executor.backends.kubernetes.workers.shapes import shaped
from penstock_executor.backends.kubernetes.workers.worker import Pool


@dataclass(frozen=True, slots=True)
class Prepared:
    """`pod` is what a worker of the pool is made like, `told` what it is told of the attempt."""

    pool: Pool
    pod: Mapping[str, Any]
    told: Instructions


class Preparation:
    def __init__(self, fleet: Fleet, claims: ClaimTasks, settings: BackendSettings) -> None:
        self._fleet = fleet
        self._claims = claims
        self._pods = settings.pods

    async def prepare(self, task: TaskLaunch, config: NamespaceConfig, shared: str) -> Prepared | str:
        """Or why it needs a Pod of its own. `shared`: with whom, `run` or `namespace`.

        Raises KubeError, ArtifactStoreError, ValueError for what a Pod of its own would raise, too.
        """
        store = TaskStore(config.store_config, task)
        reason = why_not(task, self._pods, config.policy, store)
        if reason:
            return reason
        told = instructions(task, self._pods, config.policy, store)
        if is_too_long(told):
            return "its arguments and variables are more than a worker takes"
        claims = await self._claims.of_run(task, config.namespace, config.policy)
        pod, shape = shaped(task, told.light, self._pods, config.policy, store, claims, shared)
        pool = Pool(config.namespace, shape, task.key.run_id if shared == "run" else "")
        trouble = self._fleet.trouble(pool)
        if trouble and not self._fleet.usable(pool):
            return trouble
        if task.uses_workspace:
            await self._claims.ensure_workspace(task, config.namespace)
        return Prepared(pool, pod, told)
