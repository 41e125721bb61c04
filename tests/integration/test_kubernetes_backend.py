"""The Kubernetes backend against the simulated API server: adoption, leases, lost answers, ends."""

from __future__ import annotations

import asyncio
import base64
import json
from dataclasses import replace
from pathlib import Path

import pytest
from penstock_executor.agent.protocol import AttemptResult, ProcessExit
from penstock_executor.attempts import TaskOutcome, TaskStarted
from penstock_executor.backends.base import LeaseUncertainError
from penstock_executor.backends.kubernetes.give_up import Deadlines
from penstock_ir.event_log import FailureKind
from penstock_store.base import ArtifactStoreError

from tests.support.kube_bench import RUN, bench, well
from tools import object_stores
from tools.sim_kube.faults import Fault
from tools.sim_kube.objects import PODS
from tools.sim_kube.outcome import Outcome


async def test_a_task_ends_well_and_its_pod_goes(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        backend = await b.backend()
        task = b.task()
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.succeeded, outcome.error
        assert [type(event) for event in b.events] == [TaskStarted, TaskOutcome]
        assert len(await b.pods()) == 1, "a Pod stays until its outcome is committed"
        backend.release(task.key)

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        log = tmp_path / "p" / RUN / "t" / "1" / "executor-logs"
        assert log.read_text() == "hello\n"
        await backend.close()


@pytest.mark.parametrize(("kept", "lost"), [(b"end\n", 6), (b"a" * 3_000_000, 5_000_000), (b"whole\n", 0)])
async def test_a_log_without_its_beginning_says_so(tmp_path: Path, kept: bytes, lost: int) -> None:
    result = AttemptResult(ProcessExit(0, log_bytes=len(kept) + lost)).to_json()
    async with bench(tmp_path, Outcome("exit", 0, {"main": result}, log=kept.decode())) as b:
        backend = await b.backend()
        task = b.task()
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        backend.release(task.key)
        log = tmp_path / "p" / RUN / "t" / "1" / "executor-logs"

        async def kept_now() -> bool:
            return log.exists()

        await b.until(kept_now)
        said = f"[penstock: the first {lost:,} of {len(kept) + lost:,} bytes of this log are missing; ".encode()
        head, _, rest = log.read_bytes().rpartition(b"]\n")
        assert head.startswith(said) if lost else head == b""
        assert rest == kept
        await backend.close()


async def test_whoever_launches_again_adopts(tmp_path: Path) -> None:
    async with bench(tmp_path, latency=0.5) as b:
        first, task = await b.backend(), b.task()
        await first.launch(task)
        await first.close()
        second = await b.backend()
        await second.launch(task)
        assert (await b.outcome(task.key)).succeeded
        assert len(await b.pods()) == 1
        assert b.kube.stats()["pods_created"] == 1
        await second.close()


@pytest.mark.parametrize("action", ["drop-after", "hang-after"])
async def test_a_create_whose_answer_is_lost_makes_one_pod(tmp_path: Path, action: str) -> None:
    async with bench(tmp_path) as b:
        b.kube.faults.add(Fault(action=action, method="POST", path="/pods$", times=1))
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        assert b.kube.stats()["pods_created"] == 1
        await backend.close()


@pytest.mark.parametrize("status", [429, 500, 503])
async def test_a_server_that_refuses_for_now_is_asked_again(tmp_path: Path, status: int) -> None:
    async with bench(tmp_path) as b:
        b.kube.faults.add(Fault(status=status, method="POST|DELETE", times=3))
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        backend.release(task.key)

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await backend.close()


async def test_nothing_is_made_without_a_certain_lease(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        backend, task = await b.backend(), b.task()
        b.runs.certain = False
        with pytest.raises(LeaseUncertainError):
            await backend.launch(task)
        assert await b.pods() == []
        b.runs.certain = True
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        await backend.close()


async def test_a_pod_made_while_the_lease_ran_out_is_the_next_holders(tmp_path: Path) -> None:
    """Who may be the same one, and finds it; taken back, it would be made twice."""
    async with bench(tmp_path, latency=0.5) as b:
        backend, task = await b.backend(), b.task()
        # Asked before the call the lease is certain, after it no more.
        answers = iter([True, False])
        b.runs.may_act = lambda run_id: next(answers, False)  # type: ignore[method-assign]
        await backend.launch(task)
        assert len(await b.pods()) == 1
        next_one = await b.backend()
        b.runs.may_act = lambda run_id: True  # type: ignore[method-assign]
        await next_one.launch(task)
        await backend.launch(task)
        assert (await b.outcome(task.key)).succeeded
        assert b.kube.stats()["pods_created"] == 1
        await backend.close()
        await next_one.close()


async def test_a_pod_that_is_seen_before_its_create_is_answered_is_not_made_again(tmp_path: Path) -> None:
    """The first answer is lost, the second try hangs; meanwhile the task runs, ends and its Pod is removed."""
    async with bench(tmp_path) as b:
        b.kube.faults.add(Fault(action="drop-after", method="POST", path="/pods$", times=1))
        b.kube.faults.add(Fault(action="hang", method="POST", path="/pods$", times=1))
        backend, task = await b.backend(), b.task()
        launching = asyncio.ensure_future(backend.launch(task))
        assert (await b.outcome(task.key)).succeeded
        backend.release(task.key)

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await launching
        assert b.kube.stats()["pods_created"] == 1
        await backend.close()


async def test_a_pod_that_vanished_is_not_made_again(tmp_path: Path) -> None:
    """Between "it exists" and the look at it somebody removes it."""
    async with bench(tmp_path) as b:
        refusal = Fault(status=409, method="POST", path="/pods$", reason="AlreadyExists", times=1)
        b.kube.faults.add(refusal)
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert "nobody saw how it ended" in outcome.error
        assert b.kube.stats()["pods_created"] == 0
        await backend.close()


async def test_a_task_canceled_while_its_create_waits_leaves_no_pod(tmp_path: Path) -> None:
    """The answer is lost, and no watch tells of the Pod either."""
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        b.kube.faults.add(Fault(action="hang", path="watch=1"))
        b.kube.faults.add(Fault(action="drop-after", method="POST", path="/pods$", times=1))
        b.kube.faults.add(Fault(status=500, method="POST", path="/pods$"))
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        launching = asyncio.ensure_future(backend.launch(task))

        async def made() -> bool:
            return len(await b.pods()) == 1

        await b.until(made)
        await backend.cancel(task.key)
        await launching

        async def gone() -> bool:
            return await b.pods() == []

        await b.until(gone)
        await backend.close()


async def test_a_task_that_was_seen_running_is_never_begun_again(tmp_path: Path) -> None:
    async with bench(tmp_path) as b:
        backend, task = await b.backend(), replace(b.task(), seen_running=True)
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert "is gone, and nobody saw how it ended" in outcome.error
        assert await b.pods() == []
        await backend.close()


async def test_somebody_elses_pod_of_that_name_is_left_alone(tmp_path: Path) -> None:
    async with bench(tmp_path, latency=5) as b:
        backend, task = await b.backend(), b.task()
        pod = {
            "metadata": {"name": task.pod_name, "labels": {"app": "theirs"}},
            "spec": {"containers": [{"name": "main", "image": "x"}]},
        }
        await b.client.create("/api/v1/namespaces/default/pods", pod)
        await backend.launch(task)
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.CONFIGURATION
        assert "is not this task's" in outcome.error or "that is not" in outcome.error
        assert [one["metadata"]["labels"] for one in await b.pods()] == [{"app": "theirs"}]
        await backend.close()


@pytest.mark.parametrize(
    ("outcome", "failure", "text"),
    [
        (Outcome("exit", 1, {"main": AttemptResult(ProcessExit(1)).to_json()}), "user", "exited with code 1"),
        (Outcome("oom"), "user", "more memory than its limit"),
        (Outcome("deadline"), "user", "deadline"),
        (Outcome("evicted"), "infrastructure", "evicted"),
        (Outcome("preempted"), "infrastructure", "preempted"),
        (Outcome("image-pull"), "configuration", "cannot be pulled"),
        (Outcome("invalid-image"), "configuration", "cannot be used"),
        (Outcome("config-error"), "configuration", "cannot be created"),
        (Outcome("unschedulable"), "infrastructure", "too little cpu left"),
        (Outcome("exit", 0, {"main": "garbage"}), "infrastructure", "result was not left behind"),
        (Outcome("exit", 0, {"main": well()}), "", ""),
    ],
)
async def test_how_it_ended(tmp_path: Path, outcome: Outcome, failure: str, text: str) -> None:
    async with bench(tmp_path, outcome) as b:
        # An image is waited for the longest: a Pod of which nothing is said yet is taken to pull it.
        backend = await b.backend(deadlines=Deadlines(pending=2.0, image_pull=4.0, configuration=1.0))
        task = b.task()
        await backend.launch(task)
        found = await b.outcome(task.key)
        assert (found.failure.value if found.failure else "") == failure, found.error
        assert text in found.error
        await backend.close()


async def test_the_last_lines_are_read_again_when_the_server_falters(tmp_path: Path) -> None:
    failed = Outcome("exit", 3, {"main": AttemptResult(ProcessExit(3)).to_json()}, log="the reason\n")
    async with bench(tmp_path, failed) as b:
        b.kube.faults.add(Fault(status=500, method="GET", path="/log", times=2))
        backend, task = await b.backend(), b.task()
        await backend.launch(task)
        assert "the reason" in (await b.outcome(task.key)).error
        await backend.close()


async def test_a_canceled_task_ends_as_such_and_its_pod_goes(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever", log="so far\n")) as b:
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        await backend.launch(task)

        async def started() -> bool:
            return any(isinstance(event, TaskStarted) for event in b.events)

        await b.until(started)
        await backend.cancel(task.key)
        assert (await b.outcome(task.key)).failure is FailureKind.CANCELED
        assert await b.pods() == []
        assert (tmp_path / "p" / RUN / "t" / "1" / "executor-logs").read_text() == "so far\n"
        await backend.close()


async def test_a_pod_that_is_adopted_for_a_canceled_task_goes(tmp_path: Path) -> None:
    """It is canceled while its namespace is still being read."""
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        first, task = await b.backend(), b.task()
        await first.launch(task)
        await first.close()
        second = await b.backend(cancel_grace_seconds=0)
        launching = asyncio.ensure_future(second.launch(task))
        await asyncio.sleep(0)
        await second.cancel(task.key)
        await launching
        assert (await b.outcome(task.key)).failure is FailureKind.CANCELED
        assert await b.pods() == []
        await second.close()


async def test_a_conflict_does_not_mean_that_the_pod_is_gone(tmp_path: Path) -> None:
    """The server's storage may say so too, when others write to the Pod at the same time."""
    async with bench(tmp_path, Outcome("runs-forever")) as b:
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        await backend.launch(task)
        b.kube.faults.add(Fault(status=409, method="DELETE", times=2))
        await backend.cancel(task.key)
        assert (await b.outcome(task.key)).failure is FailureKind.CANCELED
        assert await b.pods() == []
        await backend.close()


async def test_a_program_whose_agent_died_does_not_wait_for_ever(tmp_path: Path) -> None:
    async with bench(tmp_path, Outcome("runs-forever", log="so far\n")) as b:
        backend, task = await b.backend(cancel_grace_seconds=0), b.task()
        await backend.launch(task)

        async def started() -> bool:
            return any(isinstance(event, TaskStarted) for event in b.events)

        await b.until(started)
        stored = b.kube.store.get(PODS, "default", task.pod_name)
        assert stored is not None
        ended = {"exitCode": 137, "reason": "Error", "finishedAt": "2026-01-01T00:00:00Z"}
        status = json.loads(stored.status)
        status["containerStatuses"].append({"name": "agent", "state": {"terminated": ended}})
        b.kube.store.put(stored._replace(status=json.dumps(status).encode()))
        outcome = await b.outcome(task.key)
        assert outcome.failure is FailureKind.INFRASTRUCTURE
        assert "the agent beside the program was killed by signal 9" in outcome.error
        assert (tmp_path / "p" / RUN / "t" / "1" / "executor-logs").read_text() == "so far\n"
        await backend.close()


async def test_a_watch_that_was_cut_misses_nothing(tmp_path: Path) -> None:
    async with bench(tmp_path, latency=0.3) as b:
        backend = await b.backend()
        tasks = [b.task(f"t{number}") for number in range(20)]
        for task in tasks:
            await backend.launch(task)
        await b.kube.stop()
        await b.kube.start(int(b.kube.url.rsplit(":", 1)[1]))
        for task in tasks:
            assert (await b.outcome(task.key)).succeeded
        assert b.kube.stats()["pods_created"] == 20
        await backend.close()


async def test_the_store_of_a_namespace_is_reached_with_its_own_credentials(tmp_path: Path) -> None:
    """What cached results are looked at with; a namespace without a store of its own has the deployment's."""
    async with bench(tmp_path) as b:
        with object_stores.s3(["team"]) as server:
            (server.directory / "team" / "model").write_text("x")
            provider = {
                "endpoint": server.endpoint,
                "credentials": {
                    "fromEnv": False,
                    "secretRef": {"secretName": "keys", "accessKeyKey": "access", "secretKeyKey": "secret"},
                },
            }
            keys = {"access": server.access_key, "secret": server.secret_key}
            secret = {name: base64.b64encode(value.encode()).decode() for name, value in keys.items()}
            await b.client.create("/api/v1/namespaces", {"metadata": {"name": "team"}})
            providers = json.dumps({"s3": {"default": provider}})
            for kind, name, data in (
                ("secrets", "keys", secret),
                ("configmaps", "kfp-launcher", {"providers": providers}),
            ):
                await b.client.create(f"/api/v1/namespaces/team/{kind}", {"metadata": {"name": name}, "data": data})
            backend = await b.backend()
            team = await backend.store("team")
            assert await team.exists("s3://team/model")
            assert not await team.exists("s3://team/nothing")
            with pytest.raises(ArtifactStoreError):
                await (await backend.store("")).exists("s3://team/model")
            await backend.close()
