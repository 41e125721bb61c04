"""Which artifacts the agent of a task moves (docs/pods.md).

Invariant: a task that moves nothing gets no agent, which would be most of its latency and cost.
"""

from __future__ import annotations

from penstock_executor.agent.protocol import Transfer
from penstock_executor.attempts import TaskLaunch
from penstock_executor.backends.kubernetes.errors import PodSpecError
from penstock_executor.backends.kubernetes.settings import PodSettings
from penstock_executor.backends.task_paths import TaskPaths
from penstock_executor.backends.transfers import Transfers, transfers_of


def agent_transfers(task: TaskLaunch, paths: TaskPaths, settings: PodSettings) -> Transfers:
    """Raises TaskSpecError."""
    transfers = transfers_of(task, paths)
    for one in (*transfers.inputs, *transfers.outputs.values()):
        _check_file(one, settings)
    return transfers


def has_agent(task: TaskLaunch, moved: Transfers) -> bool:
    """Without a wrapper nobody else reads the files in which the task leaves its parameters."""
    return bool(moved) or (not task.command and bool(task.output_parameters))


def _check_file(one: Transfer, settings: PodSettings) -> None:
    """Raises PodSpecError for a file that no volume holds."""
    path = one.uri.removeprefix("file://")
    if not path.startswith("/"):
        return
    claim = settings.artifacts_claim
    if claim is None:
        raise PodSpecError(
            f"{one.uri} is a file, and no claim is set for files: give the executor one, or use an object store"
        )
    if not f"{path}/".startswith(f"{claim.root.rstrip('/')}/"):
        raise PodSpecError(f"{one.uri} does not lie in {claim.root}, which the claim {claim.name!r} holds")
