"""DispatchService on a real server: claims, releases, the state of runs."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
from google.protobuf import json_format
from penstock.client import Client
from penstock_api.internal.v1 import dispatch_pb2 as pb
from penstock_api.v1 import insight_pb2
from penstock_executor.dispatch import client as client_module
from penstock_executor.dispatch.client import DispatchClient
from penstock_executor.errors import ServerRejectedError

from tests.support.replicas import Replicas
from tools.testing import runs, specs

LEASE = 60.0
SPEC = specs.container(["true"])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Replicas]:
    """A server without executors: the tests are those."""
    directory = tmp_path_factory.mktemp("dispatch")
    with Replicas(directory, f"sqlite:///{directory}/penstock.db", servers=1, executors=0) as replicas:
        yield replicas


@asynccontextmanager
async def executors(server: Replicas) -> AsyncIterator[tuple[DispatchClient, DispatchClient]]:
    """Two; whatever they hold at the end of a test is finished, so that the next one finds nothing."""
    one, other = (DispatchClient(server.dispatch[0], name) for name in ("one/1", "other/1"))
    try:
        yield one, other
        for client in (one, other):
            await client.heartbeat([], LEASE, release=True)
        left = (await one.claim(50, 0, LEASE)).runs
        await one.report([ended(run) for run in left])
    finally:
        await one.close()
        await other.close()


def ended(run: pb.ClaimedRun) -> pb.RunTransitions:
    update = pb.RunUpdate(state="SUCCEEDED", at_millis=1, finished=True)
    return pb.RunTransitions(run_id=run.run_id, fence=run.fence, run=update)


def started(server: Replicas) -> str:
    with Client(server.addresses[0]) as client:
        return runs.start(client, SPEC)


async def test_where_runs_stand(server: Replicas) -> None:
    async with executors(server) as (one, other):
        finished = started(server)
        (run,) = (await one.claim(5, 0, LEASE)).runs
        await one.report([ended(run)])
        held = started(server)
        await one.claim(5, 0, LEASE)
        waiting = started(server)
        asked = [finished, held, waiting, "nobody"]
        holds = await other.filter_runs(asked)
        assert [one.run_id for one in holds] == asked
        assert [one.state for one in holds] == [
            pb.RunHold.STATE_FINISHED,
            pb.RunHold.STATE_HELD,
            pb.RunHold.STATE_WAITING,
            pb.RunHold.STATE_UNKNOWN,
        ]
        assert [one.executor_id for one in holds] == ["", "one/1", "", ""]


async def test_many_are_asked_in_pieces_and_too_many_at_once_are_refused(server: Replicas) -> None:
    async with executors(server) as (one, _):
        assert len(await one.filter_runs([f"r{number}" for number in range(2500)])) == 2500
        assert await one.filter_runs([]) == []
        request = pb.FilterRunsRequest(run_ids=[f"r{number}" for number in range(1001)])
        with pytest.raises(ServerRejectedError, match="INVALID_ARGUMENT"):
            await client_module._call(one._stub.FilterRuns, request, 10)


async def test_a_claim_says_how_long_it_waited(server: Replicas) -> None:
    async with executors(server) as (one, other):
        started(server)
        reply = await one.claim(5, 20, LEASE)
        assert len(reply.runs) == 1
        assert reply.waited_millis < 1000
        waiting = asyncio.create_task(other.claim(5, 20, LEASE))
        await asyncio.sleep(0.3)
        await asyncio.to_thread(started, server)
        reply = await waiting
        assert len(reply.runs) == 1
        assert reply.waited_millis >= 200


async def test_handing_back_gives_everything_to_others_at_once(server: Replicas) -> None:
    async with executors(server) as (one, other):
        ids = {started(server) for _ in range(3)}
        assert {run.run_id for run in (await one.claim(5, 0, LEASE)).runs} == ids
        assert (await other.claim(5, 0, LEASE)).runs == []
        waiting = asyncio.create_task(other.claim(5, 20, LEASE))
        # None of them is named: as after a claim whose answer was not awaited.
        await one.heartbeat([], LEASE, release=True)
        assert {run.run_id for run in (await waiting).runs} == ids


async def test_nothing_is_leased_to_a_caller_that_went_away(server: Replicas) -> None:
    async with executors(server) as (one, other):
        for _ in range(5):
            gone = asyncio.create_task(one.claim(5, 20, LEASE))
            await asyncio.sleep(0.05)
            gone.cancel()
            run_id = await asyncio.to_thread(started, server)
            (found,) = (await other.claim(5, 5, LEASE)).runs
            assert found.run_id == run_id
            await other.report([ended(found)])


def launched(path: str, parent: str | None, kind: str, **fields: Any) -> pb.TaskRow:
    row = pb.TaskRow(path=path, name=path, kind=kind, parent_path=parent or "", iteration_index=-1, **fields)
    row.history.add(state=row.state, at_millis=1)
    return row


async def test_what_a_task_waits_for_is_shown_until_it_moves_on(server: Replicas) -> None:
    async with executors(server) as (one, _other):
        run_id = started(server)
        (run,) = (await one.claim(5, 0, LEASE)).runs
        root = launched("", None, "dag", state="RUNNING")
        rows = [
            launched(name, "", "container", state="PENDING", phase="launched", attempt=1, pod_name=f"{name}-pod")
            for name in ("only", "next")
        ]

        def report(**fields: Any) -> pb.RunTransitions:
            return pb.RunTransitions(run_id=run_id, fence=run.fence, **fields)

        waits = [pb.TaskWait(path="only", text="no node"), pb.TaskWait(path="", text="2 of 2 Pods run")]
        await one.report([report(tasks=[root, *rows])])
        await one.report([report(waits=waits)])
        assert await asyncio.to_thread(shown, server, run_id) == {"only": "no node", "next": "2 of 2 Pods run"}
        pod = await asyncio.to_thread(described, server, "only-pod")
        status = json_format.MessageToDict(pod.pod)["status"]
        assert status["phase"] == "Pending" and status["message"] == "no node"
        assert [event["message"] for event in pod.events][-1] == "no node"
        pod = await asyncio.to_thread(described, server, "next-pod")
        assert json_format.MessageToDict(pod.pod)["status"]["message"] == "2 of 2 Pods run"
        # The next attempt: what was said of the one before holds no more.
        again = launched("only", "", "container", state="RUNNING", phase="launched", attempt=2)
        await one.report([report(tasks=[again], waits=[pb.TaskWait(path="", text="")])])
        assert await asyncio.to_thread(shown, server, run_id) == {"only": "", "next": ""}


def described(server: Replicas, pod: str) -> insight_pb2.DescribePodResponse:
    with Client(server.addresses[0]) as client:
        found: insight_pb2.DescribePodResponse = client.call(
            client.insight.DescribePod, insight_pb2.DescribePodRequest(pod_name=pod)
        )
        return found


def shown(server: Replicas, run_id: str) -> dict[str, str]:
    """Why each task waits; the same in all places that tell of it."""
    with Client(server.addresses[0]) as client:
        found = {path: task.waiting for path, task in runs.tasks(client, run_id).items() if path}
        details = {one.display_name: one for one in runs.get(client, run_id).run_details.task_details}
        for path, text in found.items():
            assert details[path].state_history[-1].error.message == text
            request = insight_pb2.ExplainTaskRequest(run_id=run_id, task=path)
            summary = client.call(client.insight.ExplainTask, request).summary
            assert summary == f"attempt 1 waits: {text}" if text else "waits:" not in summary
        return found
