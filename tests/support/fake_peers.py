"""A server and a backend for an executor that is tested by itself: calls of methods, no network, no processes.

Invariants: the server gives its runs once; every attempt ends at once. Tests override what they are about.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_executor.attempts import AttemptKey, BackendEvent, TaskLaunch, TaskOutcome
from penstock_executor.backends.base import HeldRuns
from penstock_executor.errors import ServerRejectedError
from penstock_store.files import FileArtifactStore

from tools.testing import specs


class Server:
    """Gives two runs once and keeps what is reported."""

    def __init__(self, refuses: str = "") -> None:
        self.final: dict[str, pb.RunUpdate] = {}
        self._refuses = refuses
        self._given = False

    async def claim(self, *_: Any) -> pb.ClaimRunsResponse:
        if self._given:
            await asyncio.sleep(3600)
        self._given = True
        spec = json.dumps(specs.chain({"a": ["true"], "b": ["true"]})).encode()
        runs = [pb.ClaimedRun(run_id=name, fence=1, pipeline_spec_json=spec) for name in ("poison", "healthy")]
        return pb.ClaimRunsResponse(runs=runs)

    async def heartbeat(self, *_: Any, **__: Any) -> pb.HeartbeatResponse:
        return pb.HeartbeatResponse()

    async def report(self, runs: Sequence[pb.RunTransitions]) -> Sequence[pb.RunReport]:
        if self._refuses and any(run.run_id == self._refuses and run.tasks for run in runs):
            raise ServerRejectedError("INTERNAL: it does not like it")
        for run in runs:
            if run.run.finished:
                self.final[run.run_id] = run.run
        return [pb.RunReport(run_id=run.run_id, outcome=pb.RunReport.OUTCOME_COMMITTED) for run in runs]

    async def look_up(self, keys: Sequence[Any]) -> Sequence[Any]:
        return [pb.LookupCacheResponse.Answer() for _ in keys]

    async def close(self) -> None: ...


class Backend:
    """Every attempt succeeds at once."""

    def __init__(self) -> None:
        self._deliver: Callable[[BackendEvent], None] = lambda event: None

    async def start(self, deliver: Callable[[BackendEvent], None], runs: HeldRuns) -> None:
        self._deliver = deliver

    async def default_root(self, namespace: str) -> str:
        return ""

    async def store(self, namespace: str) -> FileArtifactStore:
        return FileArtifactStore(Path("/"))

    async def launch(self, task: TaskLaunch) -> None:
        self._deliver(TaskOutcome(task.key, 1, 2, exit_code=0))

    def reserve(self, key: AttemptKey, namespace: str) -> str:
        return ""

    def unreserve(self, key: AttemptKey) -> None: ...

    def places(self, namespace: str) -> int:
        return 0

    async def cancel(self, key: AttemptKey) -> None: ...

    def release(self, key: AttemptKey) -> None: ...

    async def forget(self, run_id: str) -> None: ...

    async def close(self) -> None: ...
