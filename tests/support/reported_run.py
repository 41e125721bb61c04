"""A run whose executor is the test: it reports tasks and attempts with the times that a page is to show.

Invariants: the run is claimed once, under a lease that outlasts the test; times are milliseconds after `began`.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import grpc
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_api.internal.v1 import dispatch_pb2_grpc as rpc
from penstock_ir.event_log import RunStarted, encode

_LEASE_MILLIS = 600_000
_NUMBERS = count(1)
TIMES = ("created", "placed", "scheduled", "prepared", "fetched", "started", "finished", "stored", "ended")


@dataclass
class Reported:
    stub: rpc.DispatchServiceStub
    executor: str
    run_id: str
    fence: int
    root: str
    # Long enough ago that everything has happened.
    began: int = field(default_factory=lambda: time.time_ns() // 1_000_000 - 600_000)
    _begun: bool = False

    def task(self, path: str, state: str, times: Sequence[int], attempt: int = 1, **fields: Any) -> pb.TaskRow:
        """`times` are of its creation, its start and its end, as far as they have come."""
        created, started, finished = (self.began + at if at else 0 for at in (*times, 0, 0)[:3])
        given: dict[str, Any] = {"name": path.rpartition("/")[2], "kind": "container", "iteration_index": -1, **fields}
        return pb.TaskRow(
            path=path, state=state, attempt=attempt, created_at_millis=created, started_at_millis=started,
            finished_at_millis=finished, phase="ended" if finished else "launched", **given,
        )  # fmt: skip

    def attempt(self, path: str, number: int, *times: int | None, **fields: Any) -> pb.AttemptRow:
        """`times` are those of TIMES, in their order; None is not known."""
        told: dict[str, Any] = {
            f"{name}_at_millis": self.began + at for name, at in zip(TIMES, times, strict=False) if at is not None
        }
        return pb.AttemptRow(path=path, attempt=number, **told, **fields)

    def report(self, tasks: Sequence[pb.TaskRow], attempts: Sequence[pb.AttemptRow] = (), state: str = "") -> None:
        """`state` ends the run."""
        told = pb.RunTransitions(run_id=self.run_id, fence=self.fence, tasks=tasks, attempts=attempts)
        if not self._begun:
            told.events.append(encode(RunStarted(self.began, self.root)))
            told.run.CopyFrom(pb.RunUpdate(state="RUNNING", at_millis=self.began))
            self._begun = True
        if state:
            told.run.CopyFrom(pb.RunUpdate(state=state, at_millis=time.time_ns() // 1_000_000, finished=True))
        request = pb.ReportTransitionsRequest(executor_id=self.executor, runs=[told])
        (result,) = self.stub.ReportTransitions(request, timeout=60).results
        assert result.outcome == pb.RunReport.OUTCOME_COMMITTED, result


@contextmanager
def reported(dispatch: str, run_id: str, root: str) -> Iterator[Reported]:
    """The run, which waits for an executor. `root` is where its objects would lie."""
    executor = f"reporter-{next(_NUMBERS)}/1"
    with grpc.insecure_channel(dispatch) as channel:
        stub = rpc.DispatchServiceStub(channel)
        claim = pb.ClaimRunsRequest(executor_id=executor, max_runs=1, wait_millis=10_000, lease_millis=_LEASE_MILLIS)
        (claimed,) = stub.ClaimRuns(claim, timeout=30).runs
        assert claimed.run_id == run_id
        yield Reported(stub, executor, run_id, claimed.fence, root)
